import { modelInfo } from '@tessera/bundle';
import { type Announcer, connectBus, type KnownShard } from '@tessera/bus';
import { sessionOptions } from '@tessera/inference';
import { visualTokens } from '@tessera/protocol';
import { modelInfoGauge, type Service } from '@tessera/service';
import { endWithEngine } from '@tessera/stage';
import { GenerateAdmission } from './admission.js';
import { engineConfig, llmSettings } from './config.js';
import { EngineLinks } from './engine-links.js';
import { ExpertMetrics } from './experts/expert-metrics.js';
import { ExpertPresence } from './experts/expert-presence.js';
import { recordCalls } from './experts/expert-spans.js';
import { inWords } from './experts/missing-experts.js';
import { startExpertShard } from './experts/shard/start-expert-shard.js';
import { Llm } from './llm.js';
import { kvCacheLimitBytes } from './metric-declarations.js';
import { LlmMetrics } from './metrics.js';
import { llmService } from './server.js';

/** The LLM as a service: give it to `runService` or `startService`. */
export const llm: Service<typeof llmSettings> = {
  name: 'llm',
  settings: llmSettings,
  start: async (context) => {
    const { settings, metrics, readiness, drain, log } = context;
    if (settings.role === 'experts') return startExpertShard(context);
    const expertMetrics = new ExpertMetrics(metrics);
    const presence = new ExpertPresence(settings['experts.missingMs'], (missing) => {
      const { count } = missing;
      if (count === 0) log.info({ event: 'experts_held' }, 'every expert is held again');
      else log.warn({ event: 'experts_missing', count }, `nobody holds ${inWords(missing)}; what needs them waits`);
    });
    const config = engineConfig(settings, sessionOptions(settings));
    const loading = Llm.inThread(config, {
      onOpened: ({ backend, fallbackReason: reason }) => {
        if (reason === undefined) log.info({ backend }, 'the model is loaded');
        else log.warn({ backend, reason }, 'the model is computed in the slower of two ways: its KV cache is copied');
      },
      onStepFailed: (error) =>
        log.error({ event: 'step_failed', err: error }, 'a step failed; its sequences were ended'),
      onExperts: (report) => {
        expertMetrics.report(report);
        recordCalls(report.calls);
      },
      onExpertsMissing: (missing) => {
        presence.note(missing);
        expertMetrics.noteMissing(missing);
      },
      onExpertTrouble: (error) => log.warn({ event: 'experts', reason: error.message }, 'trouble with placed experts'),
    });
    const model = await readiness.during('the model to be loaded', loading);
    const { engine, manifest } = model;
    const { name, revision, weights } = manifest;
    const bus = await connectBus(context, revision).catch(async (reason: unknown) => {
      await model.close();
      throw reason;
    });
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
      readiness.require(presence);
      expertMetrics.reportAtScrape(() => engine.reportExperts());
      const onChange = (shards: readonly KnownShard[]): void =>
        engine.setShards(shards.filter(({ holdings }) => !holdings.draining));
      bus.watchShards(onChange, announcing.signal);
    }
    let announcer: Announcer | undefined;
    drain.addEventListener('abort', () => announcer?.now(), { once: true });
    return {
      services: [llmService({ llm: model, links, metrics: llmMetrics, description, admission, drain })],
      listening: (grpcAddress) => {
        const address = settings['engine.advertise'] ?? grpcAddress;
        const takesWork = (): boolean => !drain.aborted && (config.experts === undefined || presence.holds());
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
  },
};
