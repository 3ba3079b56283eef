import { type Bundle, modelInfo } from '@tessera/bundle';
import { createBoundSession } from '@tessera/inference';
import { LayerServiceDefinition, type TesseraError } from '@tessera/protocol';
import { commonSettings, createClient, createLog, startService } from '@tessera/service';
import type { LayerShardAddress } from '../layers/layer-link.js';
import { LayerLinks, type LayerLinksOptions, type MissingPieces } from '../layers/layer-links.js';
import { layerService } from '../layers/shard/layer-server.js';
import { LayerShard } from '../layers/shard/layer-shard.js';
import { withRun } from './with-run.js';

/** A layer shard behind a real gRPC server of this process, without NATS: who is there is told by hand. */
export interface TestLayerShard extends AsyncDisposable {
  readonly shard: LayerShard;
  readonly address: LayerShardAddress;
  stop(): Promise<void>;
}

let nextId = 0;

export interface TestLayerShardOptions {
  /** What the caches of all engines may take. */
  readonly kvBytes?: number | undefined;
  /** A computation that takes longer is taken to hang. */
  readonly stallMs?: number;
  /** Waited for before each run of the graph. */
  readonly beforeRun?: () => Promise<void>;
}

export async function startTestLayerShard(
  bundle: Bundle,
  piece: number,
  { kvBytes = 1 << 24, stallMs = 60_000, beforeRun }: TestLayerShardOptions = {},
): Promise<TestLayerShard> {
  const options = { threads: 1, device: 'cpu', runs: 'in-pool' } as const;
  const opened = await createBoundSession(bundle.file(bundle.layerPieces.pieces[piece]?.graph ?? ''), options);
  const session = beforeRun === undefined ? opened : withRun(opened, beforeRun);
  const shard = new LayerShard({ bundle, session, piece, kvBytes, stallMs });
  const description = { model: modelInfo(bundle.manifest), hiddenSize: bundle.manifest.llm.hiddenSize };
  const service = await startService(
    {
      name: 'layers',
      settings: commonSettings,
      start: async ({ drain }) => {
        drain.addEventListener('abort', () => shard.drain(), { once: true });
        const stop = async () => {
          await shard.idle();
          await shard.release();
        };
        return { services: [layerService({ shard, description, drain, signMs: 20 })], stop };
      },
    },
    { 'model.dir': bundle.dir, 'drain.graceMs': 10_000 },
    { log: createLog({ service: 'layers', level: 'error', format: 'json' }) },
  );
  const stop = () => service.stop();
  const shardId = `layers-${nextId++}`;
  const address = { shardId, address: service.grpcAddress, piece, freePositions: shard.positions };
  return { shard, address, stop, [Symbol.asyncDispose]: stop };
}

/** Links to the shards that they are told of, and what they said of them. */
export function createTestLinks(bundle: Bundle, options: Partial<LayerLinksOptions> = {}) {
  const troubles: TesseraError[] = [];
  const missing: MissingPieces[] = [];
  const links = new LayerLinks({
    bundle,
    size: { slots: 16, maxPositions: 256 },
    positions: 2048,
    rowType: 'float32',
    callTimeoutMs: 10_000,
    connect: (address) => createClient(LayerServiceDefinition, address),
    onTrouble: (error) => troubles.push(error),
    onMissing: (each) => missing.push(each),
    ...options,
  });
  return { links, troubles, missing };
}
