import type {
  CancelOptions,
  Engine,
  EngineEvent,
  EngineRequest,
  EngineStats,
  TileFailure,
  TileTokens,
} from './engine.js';
import { EngineCore, type EngineCoreOptions } from './engine-core.js';
import { engineEvents } from './engine-events.js';

/** An engine in this thread. A step blocks the thread while it computes; services use ThreadedEngine. */
export class LlmEngine implements Engine {
  readonly #core: EngineCore;

  constructor(options: EngineCoreOptions) {
    this.#core = new EngineCore(options);
  }

  /** Resolves after `close`; rejects when a step failed. */
  get done(): Promise<void> {
    return this.#core.done;
  }

  submit(request: EngineRequest): AsyncIterable<EngineEvent> {
    const queue = engineEvents(() => this.#core.cancel(request.requestId, { attempt: request.attempt }));
    this.#core.submit(request, queue);
    return queue;
  }

  provideTile(tile: TileTokens): void {
    this.#core.provideTile(tile);
  }

  failTile(failure: TileFailure): void {
    this.#core.failTile(failure);
  }

  cancel(requestId: string, options?: CancelOptions): void {
    this.#core.cancel(requestId, options);
  }

  stats(): EngineStats {
    return this.#core.stats();
  }

  drain(): Promise<void> {
    return this.#core.drain();
  }

  close(): Promise<void> {
    return this.#core.close();
  }
}
