import { TesseraError } from '@tessera/protocol';
import { HintedError } from '../hinted-error.js';
import type { DeploymentAddresses, StageAddress } from './deployment.js';
import { metricsUrl, scrape } from './scrape.js';

/** The settings that a profile is made of, by stage. */
const names = {
  gateway: ['requests.maxInFlight', 'encode.tilesPerJob'],
  encoder: ['jobs.slots', 'batch.waitMs'],
  connector: ['jobs.slots', 'batch.waitMs'],
  llm: ['engine.maxWaitingForTiles', 'engine.maxStepTokens', 'engine.maxChunkTokens'],
  generator: ['jobs.slots'],
} as const;

/** Settings by stage and name, such as `encoder.jobs.slots`, that are to be taken instead of what the services tell. */
export type Overrides = ReadonlyMap<string, number>;

/** `--set encoder.jobs.slots=16`. @throws TesseraError CONFIG_INVALID */
export function readOverrides(given: readonly string[]): Overrides {
  const known = Object.entries(names).flatMap(([stage, each]) => each.map((name) => `${stage}.${name}`));
  return new Map(
    given.map((text) => {
      const [, name, value] = /^(\w+\.[\w.]+)=(\d+)$/.exec(text) ?? [];
      if (name === undefined) {
        throw new TesseraError(
          'CONFIG_INVALID',
          `${text} is no setting: say STAGE.SETTING=NUMBER, as encoder.jobs.slots=16`,
        );
      }
      if (!known.includes(name)) {
        throw new TesseraError(
          'CONFIG_INVALID',
          `${name} is no setting that a profile is made of (--set); those are ${known.join(', ')}`,
        );
      }
      return [name, Number(value)];
    }),
  );
}

/**
 * The limits that the services were set to, of each stage that is there.
 * @throws TesseraError UNSUPPORTED naming one that a service does not tell
 */
export async function limitsInForce(
  { stages }: Pick<DeploymentAddresses, 'stages'>,
  overrides: Overrides,
  signal: AbortSignal,
) {
  const texts = new Map<string, string>();
  const read = async ([stage, { metrics }]: readonly [string, StageAddress]): Promise<void> => {
    texts.set(stage, await scrape(metricsUrl(metrics), signal));
  };
  await Promise.all(Object.entries(stages).map(read));
  const limitOf = <S extends keyof typeof names>(stage: S, name: (typeof names)[S][number]): number => {
    const sample = `tessera_setting{name="${name}"} `;
    const line = texts
      .get(stage)
      ?.split('\n')
      .find((each) => each.startsWith(sample));
    const limit = overrides.get(`${stage}.${name}`) ?? (line && Number(line.slice(sample.length)));
    if (typeof limit === 'number') return limit;
    throw new HintedError(
      'UNSUPPORTED',
      `the ${stage} at ${stages[stage]?.metrics} does not tell its ${name}: it is of an earlier release`,
      `say it by --set ${stage}.${name}=NUMBER`,
    );
  };
  const has = (stage: keyof typeof names): boolean => stages[stage] !== undefined;
  const tileStage = (stage: 'encoder' | 'connector') => ({
    slots: limitOf(stage, 'jobs.slots'),
    waitMs: limitOf(stage, 'batch.waitMs'),
  });
  return {
    gateway: { maxInFlight: limitOf('gateway', 'requests.maxInFlight') },
    encoder: has('encoder')
      ? { ...tileStage('encoder'), tilesPerJob: limitOf('gateway', 'encode.tilesPerJob') }
      : undefined,
    connector: has('connector') ? tileStage('connector') : undefined,
    llm: {
      maxWaitingForTiles: limitOf('llm', 'engine.maxWaitingForTiles'),
      maxStepTokens: limitOf('llm', 'engine.maxStepTokens'),
      maxChunkTokens: limitOf('llm', 'engine.maxChunkTokens'),
    },
    generator: has('generator') ? { slots: limitOf('generator', 'jobs.slots') } : undefined,
  };
}
