import { modelInfo } from '@tessera/bundle';
import { type Announcer, type Bus, connectBus, expertShards, layerShards } from '@tessera/bus';
import { sessionOptions } from '@tessera/inference';
import { TesseraError, visualTokens } from '@tessera/protocol';
import { modelInfoGauge, type ServiceContext, type ServiceParts } from '@tessera/service';
import { endWithEngine } from '@tessera/stage';
import { GenerateAdmission } from './admission.js';
import { engineConfig, type llmSettings } from './config.js';
import { engineBudget, engineBundle } from './engine/create-engine-core.js';
import type { EngineConfig } from './engine/engine-config.js';
import { EngineLinks } from './engine-links.js';
import { ExpertMetrics } from './experts/expert-metrics.js';
import { recordCalls } from './experts/expert-spans.js';
import { inWords, type MissingExperts } from './experts/missing-experts.js';
import { bytesPerRow } from './kv/kv-shape.js';
import { findLayerShards } from './layers/find-layer-shards.js';
import type { MissingPieces } from './layers/layer-links.js';
import { LayerMetrics } from './layers/layer-metrics.js';
import { recordLayerCalls } from './layers/layer-spans.js';
import { Llm } from './llm.js';
import { kvCacheLimitBytes } from './metric-declarations.js';
import { LlmMetrics } from './metrics.js';
import { llmService } from './server.js';
import { ShardPresence } from './shards/shard-presence.js';

type Context = ServiceContext<typeof llmSettings>;

/** The LLM service in the role of an engine. @throws TesseraError CONFIG_INVALID, CHECKPOINT_INVALID, STAGE_UNAVAILABLE */
export async function startEngine(context: Context): Promise<ServiceParts> {
  const { settings, metrics, readiness, drain, log } = context;
  const expertMetrics = new ExpertMetrics(metrics);
  const layerMetrics = new LayerMetrics(metrics);
  const experts = expertPresence(context);
  const layers = layerPresence(context);
  const given = engineConfig(settings, sessionOptions(settings));
  requireOneCut(given);
  const onLayersMissing = (missing: MissingPieces): void => {
    layers.note(missing);
    layerMetrics.noteMissing(missing);
  };
  // The shards decide how much cache there may be, so they are looked for before the model is loaded.
  if (given.layers !== undefined) readiness.require(layers);
  const { config, bus: early } =
    given.layers === undefined ? { config: given } : await findRoom(context, given, onLayersMissing);
  const loading = Llm.inThread(config, {
    onOpened: ({ backend, fallbackReason: reason }) => {
      if (reason === undefined) log.info({ backend }, 'the model is loaded');
      else log.warn({ backend, reason }, 'the model is computed in the slower of two ways: its KV cache is copied');
    },
    onStepFailed: (error) => log.error({ event: 'step_failed', err: error }, 'a step failed; its sequences were ended'),
    onExperts: (report) => {
      expertMetrics.report(report);
      recordCalls(report.calls);
    },
    onExpertsMissing: (missing) => {
      experts.note(missing);
      expertMetrics.noteMissing(missing);
    },
    onExpertTrouble: (error) => log.warn({ event: 'experts', reason: error.message }, 'trouble with placed experts'),
    onLayers: (report) => {
      layerMetrics.report(report);
      recordLayerCalls(report.calls);
    },
    onLayersMissing,
    onLayerTrouble: (error) => log.warn({ event: 'layers', reason: error.message }, 'trouble with a layer shard'),
    onCacheLost: (error) =>
      log.warn(
        { event: 'kv_cache_lost', reason: error.message },
        'the KV cache is lost; what it held is computed again',
      ),
  });
  const model = await readiness.during('the model to be loaded', loading).catch(async (reason: unknown) => {
    await early?.close();
    throw reason;
  });
  const { engine, manifest } = model;
  const { name, revision, weights } = manifest;
  const bus =
    early ??
    (await connectBus(context, revision).catch(async (reason: unknown) => {
      await model.close();
      throw reason;
    }));
  const inbox = await bus.openInbox(visualTokens);
  endWithEngine(engine.crashed, readiness);
  metrics.gauge(modelInfoGauge).set({ name, revision, weights }, 1);
  const links = new EngineLinks(bus, inbox, engine);
  const llmMetrics = new LlmMetrics(metrics, engine);
  const { contextTokens } = model.budget;
  metrics.gauge(kvCacheLimitBytes).set(model.budget.bytes);
  const { maxRunning, maxWaiting } = config.limits;
  const description = {
    model: modelInfo(manifest),
    contextTokens,
    maxRunning,
    maxWaiting,
    hiddenSize: manifest.llm.hiddenSize,
  };
  const admission = new GenerateAdmission(config.limits, drain, () => engine.stats().retryAfterMs);
  const announcing = new AbortController();
  if (config.experts !== undefined) {
    readiness.require(experts);
    expertMetrics.reportAtScrape(() => engine.report());
    const there = ({ holdings }: { holdings: { draining: boolean } }): boolean => !holdings.draining;
    bus.watchShards(expertShards, (shards) => engine.setShards(shards.filter(there)), announcing.signal);
  }
  if (config.layers !== undefined) {
    layerMetrics.reportAtScrape(() => engine.report());
    bus.watchShards(
      layerShards,
      (shards) =>
        engine.setLayerShards(
          shards.flatMap(({ shardId, address, holdings: { piece, freePositions, draining } }) =>
            draining ? [] : [{ shardId, address, piece, freePositions: Number(freePositions) }],
          ),
        ),
      announcing.signal,
    );
  }
  let announcer: Announcer | undefined;
  drain.addEventListener('abort', () => announcer?.now(), { once: true });
  return {
    services: [llmService({ llm: model, links, metrics: llmMetrics, description, admission, drain })],
    listening: (grpcAddress) => {
      const address = settings['engine.advertise'] ?? grpcAddress;
      const takesWork = (): boolean =>
        !drain.aborted &&
        (config.experts === undefined || experts.holds()) &&
        (config.layers === undefined || layers.holds());
      announcer = links.announce({ address, contextTokens, limits: config.limits, takesWork }, announcing.signal);
    },
    stop: async () => {
      await Promise.all([engine.drain(), admission.idle()]);
      announcing.abort();
      links.close();
      llmMetrics.stop();
      await model.close();
      await bus.close();
    },
  };
}

/** @throws TesseraError CONFIG_INVALID where both are to be elsewhere, which no bundle is cut for */
function requireOneCut({ experts, layers }: EngineConfig): void {
  if (experts === undefined || layers === undefined) return;
  const message =
    'experts.placementFile and layers.remote are given both; a model is cut by its experts or by its layers';
  throw new TesseraError('CONFIG_INVALID', message);
}

/** Waits for shards of all later pieces. What they have room for bounds the engine's cache. */
async function findRoom(
  context: Context,
  config: EngineConfig,
  onMissing: (missing: MissingPieces) => void,
): Promise<{ readonly config: EngineConfig; readonly bus: Bus }> {
  const bundle = await engineBundle(config);
  const { manifest } = bundle;
  const rowBytes = bytesPerRow({ ...manifest.llm, layers: bundle.layerPieces.pieces[0]?.layers ?? 0 });
  const own = Math.floor(engineBudget(bundle, config).bytes / rowBytes);
  const enginesPerShard = context.settings['layers.enginesPerShard'];
  const bus = await connectBus(context, manifest.revision);
  try {
    const tell = (missing: MissingPieces): void => {
      context.log.info({ event: 'layers_awaited' }, `waiting for ${missing.inWords}`);
      onMissing(missing);
    };
    const maxPositions = await findLayerShards(bus, bundle, { own, enginesPerShard }, tell, context.drain);
    return { config: { ...config, layers: config.layers && { ...config.layers, maxPositions } }, bus };
  } catch (reason) {
    await bus.close();
    throw reason;
  }
}

function expertPresence({ settings, log }: Context): ShardPresence<MissingExperts> {
  return new ShardPresence({
    graceMs: settings['experts.missingMs'],
    inWords: (missing) =>
      missing === undefined ? 'the experts to be looked for' : `a shard that holds ${inWords(missing)}`,
    onChange: (missing) => {
      const { count } = missing;
      if (count === 0) log.info({ event: 'experts_held' }, 'every expert is held again');
      else log.warn({ event: 'experts_missing', count }, `nobody holds ${inWords(missing)}; what needs them waits`);
    },
  });
}

function layerPresence({ settings, log }: Context): ShardPresence<MissingPieces> {
  return new ShardPresence({
    graceMs: settings['layers.missingMs'],
    inWords: (missing) => missing?.inWords ?? 'the layer shards to be looked for',
    onChange: ({ count, inWords: what }) => {
      if (count === 0) log.info({ event: 'layers_held' }, 'every piece of the layers is held again');
      else log.warn({ event: 'layers_missing', count }, `every request waits for ${what}`);
    },
  });
}
