import type { EventQueue } from '@tessera/flow';
import { fromWireError, toWireError, WorkerThread } from '@tessera/inference';
import type { TesseraError } from '@tessera/protocol';
import type {
  CancelOptions,
  Engine,
  EngineEvent,
  EngineRequest,
  EngineStats,
  TileFailure,
  TileTokens,
} from '../engine/engine.js';
import type { EngineConfig, OpenedBackend } from '../engine/engine-config.js';
import { engineEvents } from '../engine/engine-events.js';
import type { MissingExperts } from '../experts/missing-experts.js';
import type { PoolReport } from '../experts/pool-stats.js';
import type { ShardAddress } from '../experts/shard-link.js';
import type { LayerShardAddress } from '../layers/layer-link.js';
import type { LinksReport, MissingPieces } from '../layers/layer-links.js';
import type { CallNews, EngineCommand, EngineNews } from './engine-messages.js';

const noStats: EngineStats = {
  running: 0,
  waiting: 0,
  waitingForTiles: 0,
  slotsInUse: 0,
  cacheUsage: 0,
  cacheBytes: 0,
  keptBytes: 0,
  retryAfterMs: 1000,
  heldTiles: 0,
  steps: 0,
  busyMs: 0,
  prefillTokens: 0,
  cachedTokens: 0,
  decodeTokens: 0,
  proposedTokens: 0,
  acceptedTokens: 0,
  preemptions: 0,
  cacheLosses: 0,
};

export interface ThreadedEngineOptions {
  /** Told how the model is computed, before anything else. */
  readonly onOpened?: (opened: OpenedBackend) => void;
  /** Told why a step failed; the sequences in it ended, the engine goes on. */
  readonly onStepFailed?: (error: TesseraError) => void;
  /** Told what happened at the experts, every second, where they are placed. */
  readonly onExperts?: (report: PoolReport) => void;
  /** Told which placed experts nobody holds: first of all, and whenever that changes. */
  readonly onExpertsMissing?: (missing: MissingExperts) => void;
  /** Told of shards that went away, and of placements that are not taken. */
  readonly onExpertTrouble?: (error: TesseraError) => void;
  /** Told what happened at the layer shards, every second, where there are any. */
  readonly onLayers?: (report: LinksReport) => void;
  /** Told which pieces no layer shard holds: first of all, and whenever that changes. */
  readonly onLayersMissing?: (missing: MissingPieces) => void;
  /** Told of layer shards that went away, or refuse. */
  readonly onLayerTrouble?: (error: TesseraError) => void;
  /** Told that the KV cache was lost, and why. */
  readonly onCacheLost?: (error: TesseraError) => void;
}

/**
 * An engine in a thread of its own, so that its steps do not block the caller's. Its thread answers no calls one by one:
 * commands go in between steps, and each step brings news of many requests.
 */
export class ThreadedEngine implements Engine {
  readonly #thread: WorkerThread<EngineCommand, EngineNews>;
  readonly #options: ThreadedEngineOptions;
  readonly #calls = new Map<number, EventQueue<EngineEvent>>();
  readonly #drained: (() => void)[] = [];
  readonly #reported: (() => void)[] = [];
  #nextCall = 1;
  #stats = noStats;

  private constructor(config: EngineConfig, options: ThreadedEngineOptions) {
    this.#options = options;
    this.#thread = new WorkerThread(new URL('./engine-thread-main.js', import.meta.url), {
      name: 'llm',
      init: config,
      onNews: (news) => this.#hear(news),
      onEnd: (failure) => this.#lose(failure),
    });
  }

  /**
   * Starts the thread and waits until the model is loaded.
   * @throws TesseraError what loading failed with
   */
  static async start(config: EngineConfig, options: ThreadedEngineOptions = {}): Promise<ThreadedEngine> {
    const engine = new ThreadedEngine(config, options);
    await engine.#thread.ready;
    return engine;
  }

  /** Resolves, with what ended it, when the thread ends without `close`; the service must exit then. */
  get crashed(): Promise<TesseraError> {
    return this.#thread.crashed;
  }

  submit(request: EngineRequest): AsyncIterable<EngineEvent> {
    const call = this.#nextCall++;
    const { requestId, attempt } = request;
    const queue = engineEvents(() => this.cancel(requestId, { attempt }));
    const { failure } = this.#thread;
    if (failure !== undefined) {
      queue.fail(failure);
    } else {
      this.#calls.set(call, queue);
      this.#thread.send({ type: 'submit', call, request });
    }
    return queue;
  }

  provideTile(tile: TileTokens): void {
    const { shape, data } = tile.tokens;
    // A copy of its own moves; a view would be sent with all that lies around it.
    const moved = data.slice();
    this.#thread.send({ type: 'tile', tile: { ...tile, tokens: { dtype: 'float32', shape, data: moved } } }, [
      moved.buffer,
    ]);
  }

  failTile({ requestId, item, tile, attempt, error }: TileFailure): void {
    this.#thread.send({ type: 'failTile', requestId, item, tile, attempt, error: toWireError(error) });
  }

  cancel(requestId: string, { attempt, reason }: CancelOptions = {}): void {
    this.#thread.send({ type: 'cancel', requestId, attempt, error: reason && toWireError(reason) });
  }

  /** Tells the engine which expert shards are there, where its experts are placed. */
  setShards(shards: readonly ShardAddress[]): void {
    this.#thread.send({ type: 'shards', shards });
  }

  /** Tells the engine which layer shards are there, where it has only the first piece of the layers. */
  setLayerShards(shards: readonly LayerShardAddress[]): void {
    this.#thread.send({ type: 'layerShards', shards });
  }

  /** Has the engine tell now what happened at its shards; resolves when it has, between two turns of its thread. */
  report(): Promise<void> {
    if (this.#thread.failure !== undefined) return Promise.resolve();
    const reported = new Promise<void>((resolve) => this.#reported.push(resolve));
    if (this.#reported.length === 1) this.#thread.send({ type: 'report' });
    return reported;
  }

  /** As of the last step that told anything. */
  stats(): EngineStats {
    return this.#stats;
  }

  async drain(): Promise<void> {
    if (this.#thread.failure !== undefined) return;
    const drained = new Promise<void>((resolve) => this.#drained.push(resolve));
    this.#thread.send({ type: 'drain' });
    await drained;
  }

  close(): Promise<void> {
    return this.#thread.end({ type: 'close' });
  }

  #lose(failure: TesseraError): void {
    for (const queue of this.#calls.values()) queue.fail(failure);
    this.#calls.clear();
    this.#stats = {
      ...this.#stats,
      running: 0,
      waiting: 0,
      waitingForTiles: 0,
      slotsInUse: 0,
      heldTiles: 0,
      cacheUsage: 0,
    };
    for (const resolve of [...this.#drained.splice(0), ...this.#reported.splice(0)]) resolve();
  }

  #hear(message: EngineNews): void {
    switch (message.type) {
      case 'step':
        this.#stats = message.stats;
        for (const news of message.news) this.#deliver(news);
        break;
      case 'opened':
        this.#options.onOpened?.({ backend: message.backend, fallbackReason: message.fallbackReason });
        break;
      case 'stepFailed':
        this.#options.onStepFailed?.(fromWireError(message.error));
        break;
      case 'experts':
        this.#options.onExperts?.(message.report);
        for (const resolve of this.#reported.splice(0)) resolve();
        break;
      case 'expertsMissing':
        this.#options.onExpertsMissing?.(message.missing);
        break;
      case 'expertTrouble':
        this.#options.onExpertTrouble?.(fromWireError(message.error));
        break;
      case 'layers':
        this.#options.onLayers?.(message.report);
        for (const resolve of this.#reported.splice(0)) resolve();
        break;
      case 'layersMissing':
        this.#options.onLayersMissing?.(message.missing);
        break;
      case 'layerTrouble':
        this.#options.onLayerTrouble?.(fromWireError(message.error));
        break;
      case 'cacheLost':
        this.#stats = message.stats;
        this.#options.onCacheLost?.(fromWireError(message.error));
        break;
      case 'drained':
        for (const resolve of this.#drained.splice(0)) resolve();
        break;
    }
  }

  #deliver(news: CallNews): void {
    const queue = this.#calls.get(news.call);
    if (queue === undefined) return;
    if ('event' in news) {
      queue.put(news.event);
      return;
    }
    this.#calls.delete(news.call);
    if ('error' in news) queue.fail(fromWireError(news.error));
    else queue.end();
  }
}
