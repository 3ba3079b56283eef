import { fileURLToPath } from 'node:url';
import { ChildService, type ServiceReady } from '@tessera/cli';
import type { Deployment } from './deployment.js';
import type { PlacedExperts } from './placed-experts.js';

/** An expert shard as a process of its own. */
export interface StartedShard {
  readonly service: ChildService;
  readonly ready: ServiceReady;
}

/** Starts a shard of a group beside a deployment. */
export async function startShard(
  { bundleDir, natsUrl }: Pick<Deployment, 'bundleDir' | 'natsUrl'>,
  { placementFile }: Pick<PlacedExperts, 'placementFile'>,
  group: string,
  { flags = [], onLog = () => undefined }: { flags?: readonly string[]; onLog?: (line: string) => void } = {},
): Promise<StartedShard> {
  const main = fileURLToPath(new URL('./main.js', import.meta.resolve('@tessera/llm')));
  const role = ['--role', 'experts', '--model-dir', bundleDir, '--nats-url', natsUrl];
  const own = ['--experts-placement-file', placementFile, '--experts-group', group];
  const service = new ChildService('llm', main, [...role, ...own, ...flags], (_, line) => onLog(line));
  return { service, ready: await service.start() };
}
