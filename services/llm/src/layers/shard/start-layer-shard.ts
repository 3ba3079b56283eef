import { randomBytes } from 'node:crypto';
import { type Bundle, modelInfo, readBundle } from '@tessera/bundle';
import { type Announcer, connectBus, layerShards } from '@tessera/bus';
import { createBoundSession, sessionOptions } from '@tessera/inference';
import { TesseraError } from '@tessera/protocol';
import { modelInfoGauge, type ServiceContext, type ServiceParts } from '@tessera/service';
import type { llmSettings } from '../../config.js';
import { kvBudget, pieceOfModel } from '../../kv/kv-budget.js';
import { LayerMetrics } from '../layer-metrics.js';
import { layerService } from './layer-server.js';
import { LayerShard } from './layer-shard.js';

/** Between two signs of life; more often where engines have less patience. */
const mostSignMs = 1000;

/** The LLM service in the role of a layer shard. @throws TesseraError CONFIG_INVALID, CHECKPOINT_INVALID */
export async function startLayerShard(context: ServiceContext<typeof llmSettings>): Promise<ServiceParts> {
  const { settings, metrics, readiness, drain, log } = context;
  const bundle = await readBundle(settings['model.dir'], []);
  const piece = pieceIn(bundle, settings['layers.piece']);
  await bundle.require(bundle.filesOfLayers(piece));
  const { name, revision, weights, llm } = bundle.manifest;
  const { bytes: kvBytes } = kvBudget(bundle, settings['kv.maxBytes'], { share: pieceOfModel(bundle, piece) });
  const { graph } = bundle.layerPieces.pieces[piece] as { graph: string };
  // So that the thread goes on answering probes and other engines while it computes.
  const options = { ...sessionOptions(settings), backend: settings['engine.backend'], runs: 'in-pool' } as const;
  const loading = createBoundSession(bundle.file(graph), options);
  const session = await readiness.during('the layers to be loaded', loading);
  if (session.fallbackReason === undefined) log.info({ piece, backend: session.backend }, 'the layers are loaded');
  else {
    const { backend, fallbackReason: reason } = session;
    log.warn({ piece, backend, reason }, 'the layers are computed in the slower of two ways: their KV cache is copied');
  }
  const stallMs = settings['layers.callTimeoutMs'];
  const shard = new LayerShard({ bundle, session, piece, kvBytes, stallMs });
  const bus = await connectBus(context, revision).catch(async (reason: unknown) => {
    await shard.release();
    throw reason;
  });
  metrics.gauge(modelInfoGauge).set({ name, revision, weights }, 1);
  const meter = new LayerMetrics(metrics).follow(shard);

  const announcing = new AbortController();
  let announcer: Announcer | undefined;
  shard.onChange(() => announcer?.now());
  drain.addEventListener('abort', () => shard.drain(), { once: true });
  const description = { model: modelInfo(bundle.manifest), hiddenSize: llm.hiddenSize };
  return {
    services: [layerService({ shard, description, drain, signMs: Math.min(mostSignMs, stallMs / 4) })],
    listening: (grpcAddress) => {
      const facts = {
        shardId: randomBytes(8).toString('hex'),
        address: settings['engine.advertise'] ?? grpcAddress,
      };
      announcer = bus.announceShard(layerShards, () => ({ ...facts, holdings: shard.holdings }), announcing.signal);
    },
    stop: async () => {
      await shard.idle();
      announcing.abort();
      meter.stop();
      await bus.close();
      await shard.release();
    },
  };
}

/** @throws TesseraError CONFIG_INVALID where none is given, or it is not one that a shard can hold */
function pieceIn(bundle: Bundle, piece: number | undefined): number {
  const { pieces } = bundle.layerPieces;
  if (piece !== undefined && piece < pieces.length) return piece;
  const given = piece === undefined ? 'is not given' : `is ${piece}`;
  const last = pieces.length - 1;
  throw new TesseraError(
    'CONFIG_INVALID',
    `layers.piece ${given}; of this bundle a layer shard holds a piece from 1 to ${last}`,
  );
}
