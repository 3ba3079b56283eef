import { sleep } from '@tessera/flow';
import type { Metrics } from '@tessera/service';
import {
  expertCallSeconds,
  expertCallsRunning,
  expertFailoversTotal,
  expertHedgesTotal,
  expertRowsTotal,
  expertShardRowsTotal,
  expertsHeld,
  expertsMissing,
  expertUnavailableRowsTotal,
  shardInfo,
} from '../metric-declarations.js';
import { maxScrapeWaitMs } from '../shards/scrape-wait.js';
import { ShardMeter } from '../shards/shard-meter.js';
import type { MissingExperts } from './missing-experts.js';
import type { PoolReport } from './pool-stats.js';
import type { ExpertShard } from './shard/expert-shard.js';

/** What engines and expert shards say of experts. All are there in either role, so that a dashboard finds them. */
export class ExpertMetrics {
  readonly #metrics;
  readonly #rows;
  readonly #callSeconds;
  readonly #running;
  readonly #failovers;
  readonly #hedges;
  readonly #unavailable;
  readonly #missing;
  readonly #held;
  readonly #shardRows;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    metrics.gauge(shardInfo);
    this.#rows = metrics.counter(expertRowsTotal);
    this.#callSeconds = metrics.histogram(expertCallSeconds);
    this.#running = metrics.gauge(expertCallsRunning);
    this.#failovers = metrics.counter(expertFailoversTotal);
    this.#hedges = metrics.counter(expertHedgesTotal);
    this.#unavailable = metrics.counter(expertUnavailableRowsTotal);
    this.#missing = metrics.gauge(expertsMissing);
    this.#held = metrics.gauge(expertsHeld);
    this.#shardRows = metrics.counter(expertShardRowsTotal);
  }

  /** What an engine tells. */
  report({ routed, callSeconds, running, failovers, hedges, unavailableRows }: PoolReport): void {
    for (const { layer, expert, rows } of routed)
      this.#rows.inc({ layer: String(layer), expert: String(expert) }, rows);
    for (const seconds of callSeconds) this.#callSeconds.observe(seconds);
    for (const { group, calls } of running) this.#running.set({ group }, calls);
    this.#failovers.inc(failovers);
    this.#hedges.inc(hedges);
    this.#unavailable.inc(unavailableRows);
  }

  /** How many experts nobody holds. */
  noteMissing({ count }: MissingExperts): void {
    this.#missing.set(count);
  }

  /**
   * Has calls under way counted when somebody looks.
   * @param ask makes the engine report
   */
  reportAtScrape(ask: () => Promise<void>): void {
    this.#metrics.gaugeAtScrape(expertCallsRunning, () => Promise.race([ask(), sleep(maxScrapeWaitMs)]));
  }

  /** What a shard holds and has done. @returns to be stopped with the shard */
  follow(shard: ExpertShard): ShardMeter {
    shard.onChange(() => this.#held.set(shard.size));
    shard.onComputed = (rows) => this.#shardRows.inc(rows);
    this.#held.set(shard.size);
    // All is done in one thread, computing and answering: when it has no time left no more rows can be computed.
    const busyMs = () => performance.eventLoopUtilization().active;
    return new ShardMeter(this.#metrics, { role: 'experts', part: shard.group }, busyMs);
  }
}
