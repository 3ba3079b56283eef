import type { Metrics } from '@tessera/runtime';
import type { Engine, EngineEvent, EngineStats } from './engine/engine.js';

const sampleMs = 500;

/** Measures answers as they pass by, and samples the engine's own figures. */
export class LlmMetrics {
  readonly #metrics: Metrics;
  readonly #engine: Engine;
  readonly #timer: NodeJS.Timeout;
  #last: EngineStats;
  #sampledMs = performance.now();

  constructor(metrics: Metrics, engine: Engine) {
    this.#metrics = metrics;
    this.#engine = engine;
    this.#last = engine.stats();
    this.#timer = setInterval(() => this.#sample(), sampleMs).unref();
    this.#sample();
  }

  async *observe(events: AsyncIterable<EngineEvent>): AsyncGenerator<EngineEvent> {
    const startedMs = performance.now();
    let tokenMs = 0;
    for await (const event of events) {
      if (event.type === 'tokens') {
        const nowMs = performance.now();
        if (tokenMs === 0) {
          this.#metrics.histogram('tessera_time_to_first_token_seconds').observe((nowMs - startedMs) / 1000);
        } else {
          const latency = this.#metrics.histogram('tessera_inter_token_latency_seconds');
          const seconds = (nowMs - tokenMs) / 1000 / event.tokenIds.length;
          for (let n = 0; n < event.tokenIds.length; n++) latency.observe(seconds);
        }
        tokenMs = nowMs;
      }
      yield event;
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#sample();
  }

  #sample(): void {
    const stats = this.#engine.stats();
    const nowMs = performance.now();
    const metrics = this.#metrics;
    metrics.gauge('tessera_requests_running').set(stats.running);
    metrics.gauge('tessera_requests_waiting').set(stats.waiting);
    metrics.gauge('tessera_requests_waiting_for_tiles').set(stats.waitingForTiles);
    metrics.gauge('tessera_kv_cache_usage_ratio').set(stats.cacheUsage);
    metrics.gauge('tessera_kv_cache_bytes').set(stats.cacheBytes);
    metrics.counter('tessera_preemptions_total').inc(stats.preemptions - this.#last.preemptions);
    metrics.counter('tessera_prefill_tokens_total').inc(stats.prefillTokens - this.#last.prefillTokens);
    metrics.counter('tessera_decode_tokens_total').inc(stats.decodeTokens - this.#last.decodeTokens);
    const busyMs = stats.busyMs - this.#last.busyMs;
    metrics.counter('tessera_busy_seconds_total').inc({ stage: 'llm' }, busyMs / 1000);
    const passedMs = Math.max(1, nowMs - this.#sampledMs);
    metrics.gauge('tessera_busy_ratio').set({ stage: 'llm' }, Math.min(1, busyMs / passedMs));
    this.#last = stats;
    this.#sampledMs = nowMs;
  }
}
