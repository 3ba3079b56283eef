import type { Bundle } from '@tessera/bundle';
import type { BoundSession } from '@tessera/inference';
import { type LayerHoldings, type LayerStart, TesseraError } from '@tessera/protocol';
import { bytesPerRow } from '../../kv/kv-shape.js';
import { LayerRunner } from '../../model/layer-runner.js';
import { Progress } from './progress.js';
import { ShardCache } from './shard-cache.js';

export interface LayerShardOptions {
  readonly bundle: Bundle;
  /** Its graph; released with the shard. */
  readonly session: BoundSession;
  /** Which piece it is: not the first, which engines have themselves. */
  readonly piece: number;
  /** What the caches of all engines may take together. */
  readonly kvBytes: number;
  /** One computation that takes longer is taken to hang. */
  readonly stallMs: number;
}

/** One piece of a model, held by this process, and a cache for each engine that has a stream open. */
export class LayerShard {
  readonly piece: number;
  /** Of what is computed for all engines. */
  readonly progress: Progress;
  readonly #options: LayerShardOptions;
  readonly #listeners = new Set<() => void>();
  readonly #caches = new Set<ShardCache>();
  #waiting: (() => void)[] = [];
  #draining = false;
  /** Told how many positions were computed. */
  onComputed: (positions: number) => void = () => {};

  constructor(options: LayerShardOptions) {
    this.#options = options;
    this.piece = options.piece;
    this.progress = new Progress(options.stallMs);
  }

  get holdings(): LayerHoldings {
    const { firstLayer, layers } = this.#range;
    const [positions, freePositions] = [BigInt(this.positions), BigInt(this.positions - this.#taken)];
    return { piece: this.piece, firstLayer, layers, positions, freePositions, draining: this.#draining };
  }

  /** Positions of cache that there may be, of all engines together. */
  get positions(): number {
    return Math.floor(this.#options.kvBytes / this.positionBytes);
  }

  /** Bytes of one position. */
  get positionBytes(): number {
    return bytesPerRow({ ...this.#options.bundle.manifest.llm, layers: this.#range.layers });
  }

  /** Bytes that all caches take now. */
  get cacheBytes(): number {
    return [...this.#caches].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Calls the listener at each change of the holdings; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Gives an engine a cache of its own; dispose of it when the engine is gone.
   * @throws TesseraError MODEL_NOT_FOUND for an engine of another revision or piece; QUEUE_FULL where there is no room for
   *   its cache; REQUEST_INVALID
   */
  open({ revision, piece, slots, maxPositions, positions }: LayerStart): ShardCache {
    const { bundle, session } = this.#options;
    const { manifest } = bundle;
    const notFound = (what: string, field: string): TesseraError =>
      new TesseraError('MODEL_NOT_FOUND', what, { field: `start.${field}` });
    if (revision !== manifest.revision) {
      throw notFound(
        `this shard holds layers of revision ${manifest.revision}; the engine has ${revision}`,
        'revision',
      );
    }
    if (piece !== this.piece) {
      throw notFound(`this shard holds piece ${this.piece}; the engine looks for piece ${piece}`, 'piece');
    }
    if (slots < 1) throw TesseraError.invalidField('start.slots', 'must be at least 1');
    if (maxPositions < 1 || maxPositions > manifest.llm.maxPositions) {
      const most = manifest.llm.maxPositions;
      throw TesseraError.invalidField('start.max_positions', `is ${maxPositions}, but the model has 1 to ${most}`);
    }
    const wanted = Number(positions);
    const free = this.positions - this.#taken;
    if (wanted > free) {
      const perPosition = this.positionBytes;
      const leaving = sumOfPositions([...this.#caches].filter(({ isClosing }) => isClosing));
      const what =
        wanted <= free + leaving
          ? 'more is free once what engines that are gone asked for last is computed'
          : `set the shard's kv.maxBytes to ${(this.#taken + wanted) * perPosition} or more, or a smaller kv.maxBytes for the engines`;
      throw new TesseraError(
        'QUEUE_FULL',
        `the engine asks for ${wanted} positions of KV cache, and this shard has ${free} left of ${this.positions}; ${what}`,
        { stage: 'layers' },
      );
    }
    const runner = new LayerRunner(session, manifest.llm, { slots, maxPositions });
    const cache = new ShardCache({
      runner,
      hiddenSize: manifest.llm.hiddenSize,
      most: { slots, maxPositions },
      positions: wanted,
      positionBytes: this.positionBytes,
      progress: this.progress,
      onComputed: (count) => this.onComputed(count),
      onClosed: () => {
        this.#caches.delete(cache);
        this.#tell();
      },
    });
    this.#caches.add(cache);
    this.#tell();
    return cache;
  }

  drain(): void {
    this.#draining = true;
    this.#tell();
  }

  /** Resolves when no engine has a stream open. */
  async idle(): Promise<void> {
    if (this.#caches.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  release(): Promise<void> {
    return this.#options.session.close();
  }

  get #range() {
    return this.#options.bundle.layerPieces.pieces[this.piece] as {
      readonly firstLayer: number;
      readonly layers: number;
    };
  }

  /** Positions that engines have. */
  get #taken(): number {
    return sumOfPositions([...this.#caches]);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
    if (this.#caches.size === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function sumOfPositions(caches: readonly ShardCache[]): number {
  return caches.reduce((sum, { positions }) => sum + positions, 0);
}
