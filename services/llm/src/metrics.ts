import { TesseraError } from '@tessera/protocol';
import {
  busyRatio,
  busySecondsTotal,
  type Metrics,
  timeToFirstTokenSeconds,
  wastedSecondsTotal,
} from '@tessera/service';
import type { Engine, EngineEvent, EngineStats } from './engine/engine.js';
import {
  acceptedTokensTotal,
  decodeTokensTotal,
  interTokenLatencySeconds,
  kvCacheBytes,
  kvCacheLossesTotal,
  kvCacheUsageRatio,
  preemptionsTotal,
  prefillTokensTotal,
  prefixCacheBytes,
  prefixCacheHitTokensTotal,
  proposedTokensTotal,
  requestsRunning,
  requestsWaiting,
  requestsWaitingForTiles,
} from './metric-declarations.js';

const sampleMs = 500;

/** Is told of an answer's events as they pass by. */
export interface AnswerMeter extends Disposable {
  note(event: EngineEvent): void;
  failed(reason: unknown): void;
}

/** Measures answers as they pass by, and tells the engine's own figures: gauges when somebody looks, counters twice a second. */
export class LlmMetrics {
  readonly #metrics: Metrics;
  readonly #engine: Engine;
  readonly #timer: NodeJS.Timeout;
  readonly #firstToken;
  readonly #interToken;
  readonly #wasted;
  #last: EngineStats;
  #sampledMs = performance.now();

  constructor(metrics: Metrics, engine: Engine) {
    this.#metrics = metrics;
    this.#engine = engine;
    this.#firstToken = metrics.histogram(timeToFirstTokenSeconds);
    this.#interToken = metrics.histogram(interTokenLatencySeconds);
    this.#wasted = metrics.counter(wastedSecondsTotal);
    this.#last = engine.stats();
    const figures = [
      [requestsRunning, 'running'],
      [requestsWaiting, 'waiting'],
      [requestsWaitingForTiles, 'waitingForTiles'],
      [kvCacheUsageRatio, 'cacheUsage'],
      [kvCacheBytes, 'cacheBytes'],
      [prefixCacheBytes, 'keptBytes'],
    ] as const;
    for (const [metric, figure] of figures) metrics.gaugeAtScrape(metric, (gauge) => gauge.set(engine.stats()[figure]));
    this.#timer = setInterval(() => this.#sample(), sampleMs).unref();
    this.#sample();
  }

  /** Measures one answer. Dispose of what it returns when its events have ended. */
  answer(): AnswerMeter {
    const startedMs = performance.now();
    let prefillMs: number | undefined;
    let tokenMs = 0;
    let waste: 'cancelled' | 'late' | 'failed' | undefined = 'cancelled';
    return {
      note: (event) => {
        if (event.type === 'prefillStarted') prefillMs = performance.now();
        if (event.type === 'tokens') {
          const nowMs = performance.now();
          if (tokenMs === 0) this.#firstToken.observe((nowMs - startedMs) / 1000);
          else this.#countTokens(event.tokenIds.length, nowMs - tokenMs);
          tokenMs = nowMs;
        }
        if (event.type === 'finished') waste = undefined;
      },
      failed: (reason) => {
        waste = wasteReason(TesseraError.from(reason));
      },
      [Symbol.dispose]: () => {
        if (waste !== undefined && prefillMs !== undefined) {
          this.#wasted.inc({ stage: 'llm', reason: waste }, (performance.now() - prefillMs) / 1000);
        }
      },
    };
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#sample();
  }

  #countTokens(count: number, sinceMs: number): void {
    for (let n = 0; n < count; n++) this.#interToken.observe(sinceMs / 1000 / count);
  }

  #sample(): void {
    const stats = this.#engine.stats();
    const nowMs = performance.now();
    const metrics = this.#metrics;
    metrics.counter(preemptionsTotal).inc(stats.preemptions - this.#last.preemptions);
    metrics.counter(kvCacheLossesTotal).inc(stats.cacheLosses - this.#last.cacheLosses);
    metrics.counter(prefillTokensTotal).inc(stats.prefillTokens - this.#last.prefillTokens);
    metrics.counter(prefixCacheHitTokensTotal).inc(stats.cachedTokens - this.#last.cachedTokens);
    metrics.counter(decodeTokensTotal).inc(stats.decodeTokens - this.#last.decodeTokens);
    metrics.counter(proposedTokensTotal).inc(stats.proposedTokens - this.#last.proposedTokens);
    metrics.counter(acceptedTokensTotal).inc(stats.acceptedTokens - this.#last.acceptedTokens);
    const busyMs = stats.busyMs - this.#last.busyMs;
    metrics.counter(busySecondsTotal).inc({ stage: 'llm' }, busyMs / 1000);
    const passedMs = Math.max(1, nowMs - this.#sampledMs);
    metrics.gauge(busyRatio).set({ stage: 'llm' }, Math.min(1, busyMs / passedMs));
    this.#last = stats;
    this.#sampledMs = nowMs;
  }
}

/** Why a sequence that ended with an error was computed for nothing. */
function wasteReason({ code }: TesseraError): 'cancelled' | 'late' | 'failed' {
  if (code === 'CANCELLED') return 'cancelled';
  return code === 'DEADLINE_EXCEEDED' ? 'late' : 'failed';
}
