import type { StageName } from '@tessera/adviser';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { HintedError } from '../hinted-error.js';
import { mainPath, Stack, serviceNames } from '../up/stack.js';
import type { Measuring } from './measuring.js';
import { round } from './statistics.js';

const graceMs = 10_000;

/** @throws HintedError CONFIG_INVALID where there are no services to start, as in the image of the tools */
export function requireServices(): void {
  try {
    for (const name of serviceNames) mainPath(name);
  } catch (cause) {
    throw new HintedError(
      'CONFIG_INVALID',
      (cause as Error).message,
      'say --no-starts; how long a pod takes until it is ready the cluster tells, and startSeconds of the profile takes it',
      cause,
    );
  }
}

/**
 * How long a replica of each stage takes until it takes work, in seconds: one is started here, apart from the deployment, on
 * a nats-server of its own, and ended again.
 * @param bundleDir with the files of every stage
 */
export async function measureStarts(
  { signal, tell }: Measuring,
  bundleDir: string,
  stages: readonly StageName[],
): Promise<Partial<Record<StageName, number>>> {
  const seconds: Partial<Record<StageName, number>> = {};
  const nats: NatsServer = await startNatsServer({});
  try {
    for (const stage of stages) {
      signal.throwIfAborted();
      tell(`a start of the ${stage}`);
      const stack = new Stack({
        bundleDir,
        natsUrl: nats.url,
        flags: {},
        services: [stage],
        graceMs,
        onReady: () => undefined,
        onLog: () => undefined,
        onEnded: () => undefined,
      });
      const startedAt = performance.now();
      await stack.start();
      seconds[stage] = round((performance.now() - startedAt) / 1000);
      await stack.stop();
    }
  } finally {
    await nats.stop();
  }
  return seconds;
}
