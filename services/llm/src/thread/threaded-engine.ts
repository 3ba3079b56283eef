import { Worker } from 'node:worker_threads';
import type { EventQueue } from '@tessera/flow';
import { fromWireError, toWireError } from '@tessera/inference';
import { TesseraError } from '@tessera/protocol';
import type { EngineConfig } from '../engine/create-engine-core.js';
import type {
  CancelOptions,
  Engine,
  EngineEvent,
  EngineRequest,
  EngineStats,
  TileFailure,
  TileTokens,
} from '../engine/engine.js';
import { engineEvents } from '../engine/engine-events.js';
import type { CallNews, EngineCommand, EngineNews } from './engine-messages.js';

const noStats: EngineStats = {
  running: 0,
  waiting: 0,
  waitingForTiles: 0,
  slotsInUse: 0,
  cacheUsage: 0,
  cacheBytes: 0,
  retryAfterMs: 1000,
  heldTiles: 0,
  steps: 0,
  busyMs: 0,
  prefillTokens: 0,
  decodeTokens: 0,
  preemptions: 0,
};

export interface ThreadedEngineOptions {
  /** Told why a step failed; the sequences in it ended, the engine goes on. */
  readonly onStepFailed?: (error: TesseraError) => void;
}

/** An engine in a thread of its own, so that its steps do not block the caller's. */
export class ThreadedEngine implements Engine {
  /** Resolves, with what ended it, when the thread ends without `close`; the service must exit then. */
  readonly crashed: Promise<TesseraError>;
  readonly #worker: Worker;
  readonly #options: ThreadedEngineOptions;
  readonly #calls = new Map<number, EventQueue<EngineEvent>>();
  readonly #exited: Promise<void>;
  readonly #drained: (() => void)[] = [];
  #nextCall = 1;
  #stats = noStats;
  #closing = false;
  #failure: TesseraError | undefined;
  #onStarted: ((refusal: TesseraError | undefined) => void) | undefined;

  private constructor(worker: Worker, options: ThreadedEngineOptions) {
    this.#worker = worker;
    this.#options = options;
    let cause: unknown;
    worker.on('message', (news: EngineNews) => this.#hear(news));
    worker.on('error', (error) => {
      cause = error;
    });
    let crash: (error: TesseraError) => void;
    this.crashed = new Promise((resolve) => {
      crash = resolve;
    });
    this.#exited = new Promise((resolve) => {
      worker.once('exit', (exitCode) => {
        const why = cause instanceof Error ? cause.message : `exit code ${exitCode}`;
        // Retryable: another engine can write the same answer.
        this.#failure = new TesseraError('STAGE_UNAVAILABLE', `the thread of the llm engine ended: ${why}`, { cause });
        this.#onStarted?.(this.#failure);
        for (const queue of this.#calls.values()) queue.fail(this.#failure);
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
        for (const resolveDrain of this.#drained.splice(0)) resolveDrain();
        if (!this.#closing) crash(this.#failure);
        resolve();
      });
    });
  }

  /**
   * Starts the thread and waits until the model is loaded.
   * @throws TesseraError what loading failed with
   */
  static async start(config: EngineConfig, options: ThreadedEngineOptions = {}): Promise<ThreadedEngine> {
    const entry = new URL('./engine-thread-main.js', import.meta.url);
    const engine = new ThreadedEngine(new Worker(entry, { name: 'llm-engine', workerData: config }), options);
    const refusal = await new Promise<TesseraError | undefined>((resolve) => {
      engine.#onStarted = resolve;
    });
    if (refusal !== undefined) throw refusal;
    return engine;
  }

  submit(request: EngineRequest): AsyncIterable<EngineEvent> {
    const call = this.#nextCall++;
    const { requestId, attempt } = request;
    const queue = engineEvents(() => this.cancel(requestId, { attempt }));
    if (this.#failure !== undefined) {
      queue.fail(this.#failure);
    } else {
      this.#calls.set(call, queue);
      this.#send({ type: 'submit', call, request });
    }
    return queue;
  }

  provideTile(tile: TileTokens): void {
    const { shape, data } = tile.tokens;
    // A copy of its own moves; a view would be sent with all that lies around it.
    const moved = data.slice();
    this.#send({ type: 'tile', tile: { ...tile, tokens: { dtype: 'float32', shape, data: moved } } }, [moved.buffer]);
  }

  failTile({ requestId, item, tile, attempt, error }: TileFailure): void {
    this.#send({ type: 'failTile', requestId, item, tile, attempt, error: toWireError(error) });
  }

  cancel(requestId: string, { attempt, reason }: CancelOptions = {}): void {
    this.#send({ type: 'cancel', requestId, attempt, error: reason && toWireError(reason) });
  }

  /** As of the last step that told anything. */
  stats(): EngineStats {
    return this.#stats;
  }

  async drain(): Promise<void> {
    if (this.#failure !== undefined) return;
    const drained = new Promise<void>((resolve) => this.#drained.push(resolve));
    this.#send({ type: 'drain' });
    await drained;
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#send({ type: 'close' });
    await this.#exited;
  }

  #send(command: EngineCommand, transfer: ArrayBuffer[] = []): void {
    if (this.#failure === undefined) this.#worker.postMessage(command, transfer);
  }

  #hear(message: EngineNews): void {
    switch (message.type) {
      case 'ready':
        this.#onStarted?.(undefined);
        break;
      case 'refused':
        this.#closing = true;
        this.#onStarted?.(fromWireError(message.error));
        break;
      case 'step':
        this.#stats = message.stats;
        for (const news of message.news) this.#deliver(news);
        break;
      case 'stepFailed':
        this.#options.onStepFailed?.(fromWireError(message.error));
        break;
      case 'drained':
        for (const resolve of this.#drained.splice(0)) resolve();
        break;
      case 'closed':
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
