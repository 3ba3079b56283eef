import { sleep } from '@tessera/flow';
import type { Metrics } from '@tessera/service';
import {
  kvCacheBytes,
  kvCacheLimitBytes,
  layerCallSeconds,
  layerCallsRunning,
  layerPiecesMissing,
  layerShardPositionsTotal,
} from '../metric-declarations.js';
import { maxScrapeWaitMs } from '../shards/scrape-wait.js';
import { ShardMeter } from '../shards/shard-meter.js';
import type { LinksReport, MissingPieces } from './layer-links.js';
import type { LayerShard } from './shard/layer-shard.js';

/** What engines and layer shards say of pieces of layers. All are there in either role, so that a dashboard finds them. */
export class LayerMetrics {
  readonly #metrics;
  readonly #callSeconds;
  readonly #running;
  readonly #missing;
  readonly #positions;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#callSeconds = metrics.histogram(layerCallSeconds);
    this.#running = metrics.gauge(layerCallsRunning);
    this.#missing = metrics.gauge(layerPiecesMissing);
    this.#positions = metrics.counter(layerShardPositionsTotal);
  }

  /** What an engine tells. */
  report({ callSeconds, running }: LinksReport): void {
    for (const seconds of callSeconds) this.#callSeconds.observe(seconds);
    for (const { piece, calls } of running) this.#running.set({ piece: String(piece) }, calls);
  }

  /** How many pieces nobody holds. */
  noteMissing({ count }: MissingPieces): void {
    this.#missing.set(count);
  }

  /**
   * Has calls under way counted when somebody looks.
   * @param ask makes the engine report
   */
  reportAtScrape(ask: () => Promise<void>): void {
    this.#metrics.gaugeAtScrape(layerCallsRunning, () => Promise.race([ask(), sleep(maxScrapeWaitMs)]));
  }

  /** What a shard holds and has done. @returns to be stopped with the shard */
  follow(shard: LayerShard): ShardMeter {
    shard.onComputed = (positions) => this.#positions.inc(positions);
    this.#metrics.gauge(kvCacheLimitBytes).set(shard.positions * shard.positionBytes);
    this.#metrics.gaugeAtScrape(kvCacheBytes, (gauge) => gauge.set(shard.cacheBytes));
    return new ShardMeter(this.#metrics, { role: 'layers', part: String(shard.piece) }, () => shard.progress.busyMs);
  }
}
