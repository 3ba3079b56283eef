import { type Bundle, modelInfo } from '@tessera/bundle';
import { ExpertServiceDefinition, type TesseraError } from '@tessera/protocol';
import { commonSettings, createClient, createLog, type Settings, startService } from '@tessera/service';
import { ExpertPool, type ExpertPoolOptions } from '../experts/expert-pool.js';
import { parsePlacement } from '../experts/placement.js';
import { expertService } from '../experts/shard/expert-server.js';
import { ExpertShard } from '../experts/shard/expert-shard.js';
import { PlacementUsers } from '../experts/shard/placement-users.js';
import type { ShardAddress } from '../experts/shard-link.js';

export const oneThread = { threads: 1, device: 'cpu' } as const;

/** A shard behind a real gRPC server of this process, without NATS: who is there is told by hand. */
export interface TestShard extends AsyncDisposable {
  readonly shard: ExpertShard;
  readonly users: PlacementUsers;
  readonly address: ShardAddress;
  stop(): Promise<void>;
}

let nextId = 0;

/**
 * @param make where a shard is to do something that shards do not
 * @param settings of its server
 */
export async function startTestShard(
  bundle: Bundle,
  placement: unknown,
  group: string,
  make = (of: Bundle): ExpertShard => new ExpertShard(of, oneThread, group),
  settings: Partial<Settings<typeof commonSettings>> = {},
): Promise<TestShard> {
  const shard = make(bundle);
  const users = new PlacementUsers();
  await shard.take(parsePlacement(placement, bundle));
  const description = { model: modelInfo(bundle.manifest), hiddenSize: bundle.manifest.llm.hiddenSize };
  const service = await startService(
    {
      name: 'experts',
      settings: commonSettings,
      start: async ({ drain }) => {
        drain.addEventListener('abort', () => shard.drain(), { once: true });
        const stop = async () => {
          await users.idle();
          await shard.release();
        };
        return { services: [expertService({ shard, users, description })], stop };
      },
    },
    { 'model.dir': bundle.dir, 'drain.graceMs': 10_000, ...settings },
    { log: createLog({ service: 'experts', level: 'error', format: 'json' }) },
  );
  const stop = () => service.stop();
  const address = { shardId: `shard-${nextId++}`, address: service.grpcAddress, group };
  return { shard, users, address, stop, [Symbol.asyncDispose]: stop };
}

/** A pool over the shards that it is told of, and what it said of them. */
export async function createTestPool(
  bundle: Bundle,
  placement: unknown,
  options: Partial<ExpertPoolOptions> = {},
): Promise<{ pool: ExpertPool; troubles: TesseraError[] }> {
  const troubles: TesseraError[] = [];
  const pool = await ExpertPool.create({
    bundle,
    session: oneThread,
    placement: parsePlacement(placement, bundle),
    rowType: 'float32',
    callTimeoutMs: 10_000,
    hedge: true,
    connect: (address) => createClient(ExpertServiceDefinition, address),
    onTrouble: (error) => troubles.push(error),
    onLost: (_, error) => troubles.push(error),
    onMisplaced: () => {},
    ...options,
  });
  return { pool, troubles };
}
