import { TesseraError } from '@tessera/protocol';
import type { SettingsSchema } from '@tessera/service';
import { HintedError } from '../hinted-error.js';

/** Settings by stage and name, such as `encoder.jobs.slots`, as they are in a deployment. */
export type Overrides = ReadonlyMap<string, number>;

/** `--set encoder.jobs.slots=16`. @throws TesseraError CONFIG_INVALID */
export function readOverrides(given: readonly string[]): Overrides {
  return new Map(
    given.map((text) => {
      const [, name, value] = /^(\w+\.[\w.]+)=(\d+)$/.exec(text) ?? [];
      if (name === undefined) {
        throw new TesseraError(
          'CONFIG_INVALID',
          `${text} is no setting: say STAGE.SETTING=NUMBER, as encoder.jobs.slots=16`,
        );
      }
      return [name, Number(value)];
    }),
  );
}

/** @throws HintedError where the services are not installed beside the command, as in the image of the tools */
async function settingsTables() {
  try {
    const [encoder, connector, llm, generator, gateway] = await Promise.all([
      import('@tessera/encoder'),
      import('@tessera/connector'),
      import('@tessera/llm'),
      import('@tessera/generator'),
      import('@tessera/gateway'),
    ]);
    return {
      encoderSettings: encoder.encoderSettings,
      connectorSettings: connector.connectorSettings,
      llmSettings: llm.llmSettings,
      generatorSettings: generator.generatorSettings,
      gatewaySettings: gateway.gatewaySettings,
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new HintedError(
      'UNSUPPORTED',
      "the defaults of the services' settings are not here: the services are not installed beside this command",
      'run tessera profile from a checkout of the same release; it calls the deployment by its addresses',
      error,
    );
  }
}

/** The limits that services do not tell: as the deployment's settings were said to be, else their defaults. */
export async function limitsInForce(overrides: Overrides) {
  const { encoderSettings, connectorSettings, llmSettings, generatorSettings, gatewaySettings } =
    await settingsTables();
  const unused = new Set(overrides.keys());
  const limitOf = (stage: string, settings: SettingsSchema, name: string): number => {
    unused.delete(`${stage}.${name}`);
    return overrides.get(`${stage}.${name}`) ?? (settings[name]?.default as number);
  };
  const limits = {
    gateway: { maxInFlight: limitOf('gateway', gatewaySettings, 'requests.maxInFlight') },
    encoder: {
      slots: limitOf('encoder', encoderSettings, 'jobs.slots'),
      waitMs: limitOf('encoder', encoderSettings, 'batch.waitMs'),
      tilesPerJob: limitOf('gateway', gatewaySettings, 'encode.tilesPerJob'),
    },
    connector: {
      slots: limitOf('connector', connectorSettings, 'jobs.slots'),
      waitMs: limitOf('connector', connectorSettings, 'batch.waitMs'),
    },
    llm: {
      maxWaitingForTiles: limitOf('llm', llmSettings, 'engine.maxWaitingForTiles'),
      maxStepTokens: limitOf('llm', llmSettings, 'engine.maxStepTokens'),
      maxChunkTokens: limitOf('llm', llmSettings, 'engine.maxChunkTokens'),
    },
    generator: { slots: limitOf('generator', generatorSettings, 'jobs.slots') },
  };
  const [unknown] = unused;
  if (unknown !== undefined) {
    throw new TesseraError('CONFIG_INVALID', `${unknown} is no setting that a profile is made of (--set)`);
  }
  return limits;
}
