import { type Float32Tensor, TesseraError } from '@tessera/protocol';
import type { MediaRows } from '../model/step-plan.js';
import type { Prompt, TokenSpan } from '../prompt/prompt.js';

const keyOf = (item: number, tile: number): string => `${item}/${tile}`;

/** The tiles that a prompt waits for and those that came. Several spans may show the same tile. */
export class ReservedTiles {
  readonly #spans: readonly TokenSpan[];
  readonly #hiddenSize: number;
  readonly #lengths = new Map<string, number>();
  readonly #arrived = new Map<string, Float32Array>();
  readonly #asked = new Set<string>();
  /** The first span whose tile is missing. */
  #next = 0;
  /** Positions that are not computed, and need no tile. */
  #covered = 0;
  /** The prompt is computed. */
  #isOver = false;
  #wereUsed = false;
  /** Tiles that came, and are not held any more. */
  readonly #late = new Set<string>();
  #isChanged = true;

  constructor({ spans }: Prompt, hiddenSize: number) {
    this.#spans = spans;
    this.#hiddenSize = hiddenSize;
    for (const { item, tile, length } of spans) this.#lengths.set(keyOf(item, tile), length);
  }

  /** Whether all of them had come once, and were let go of: those that are missing nobody sends unasked. */
  get wereUsed(): boolean {
    return this.#wereUsed;
  }

  /** The prompt is to be computed again: tiles that are not covered are needed once more. */
  reopen(): void {
    if (!this.#isOver) return;
    this.#isOver = false;
    this.#wereUsed = true;
    this.#isChanged = true;
    this.#asked.clear();
    this.#late.clear();
  }

  /** Tiles held. */
  get held(): number {
    return this.#arrived.size;
  }

  get isComplete(): boolean {
    return this.#next === this.#spans.length;
  }

  /** The position of the first token that is missing; undefined when none is. */
  get firstMissing(): number | undefined {
    return this.#spans[this.#next]?.start;
  }

  /** Whether other tiles may be missing than when this was last asked. */
  takeChange(): boolean {
    const isChanged = this.#isChanged;
    this.#isChanged = false;
    return isChanged;
  }

  /** Positions before this one are taken from the cache: they need no tile. */
  cover(positions: number): void {
    this.#isChanged ||= positions !== this.#covered;
    this.#covered = positions;
    this.#next = 0;
    this.#advance();
  }

  missing(): { item: number; tile: number }[] {
    const spans = this.#spans.slice(this.#next).filter((span) => !this.#isCovered(span));
    const tiles = new Map(spans.map((span) => [keyOf(span.item, span.tile), span]));
    return [...tiles].flatMap(([key, { item, tile }]) => (this.#arrived.has(key) ? [] : [{ item, tile }]));
  }

  /** Whether a tile is missing that was never asked for. */
  get hasUnasked(): boolean {
    return this.missing().some(({ item, tile }) => !this.#asked.has(keyOf(item, tile)));
  }

  /** The tiles that are missing, or those of them that were never asked for; from now on they were. */
  askForMissing(which: 'all' | 'unasked' = 'all'): { item: number; tile: number }[] {
    const missing = this.missing().filter(({ item, tile }) => which === 'all' || !this.#asked.has(keyOf(item, tile)));
    for (const { item, tile } of missing) this.#asked.add(keyOf(item, tile));
    return missing;
  }

  /** Whether this tile, or any of the item's that are missing, was asked for. */
  wasAskedFor(item: number, tile: number | undefined): boolean {
    return this.missing().some(
      (missing) =>
        missing.item === item &&
        (tile === undefined || missing.tile === tile) &&
        this.#asked.has(keyOf(missing.item, missing.tile)),
    );
  }

  isMissing(item: number, tile: number | undefined): boolean {
    return this.missing().some((missing) => missing.item === item && (tile === undefined || missing.tile === tile));
  }

  /**
   * Keeps the first valid copy of a tile.
   * @returns whether it was waited for
   * @throws TesseraError TENSOR_INVALID when it does not fill its span
   */
  provide(item: number, tile: number, tokens: Float32Tensor): boolean {
    const key = keyOf(item, tile);
    const length = this.#lengths.get(key);
    if (length === undefined || this.#arrived.has(key) || this.#late.has(key)) return false;
    const [rows, width] = tokens.shape;
    if (tokens.shape.length !== 2 || rows !== length || width !== this.#hiddenSize) {
      throw new TesseraError(
        'TENSOR_INVALID',
        `tile ${tile} of media item ${item} has visual tokens of shape [${tokens.shape.join(', ')}], ` +
          `where [${length}, ${this.#hiddenSize}] are reserved`,
      );
    }
    // The prompt is computed without it, from the cache; whoever made it is told that it came.
    if (this.#isOver) {
      this.#late.add(key);
      return true;
    }
    this.#arrived.set(key, tokens.data);
    this.#advance();
    return true;
  }

  /** The visual tokens within positions `from` to `to - 1`. */
  rowsWithin(from: number, to: number): MediaRows[] {
    const size = this.#hiddenSize;
    const found: MediaRows[] = [];
    for (const { item, tile, start, length } of this.#spans) {
      const first = Math.max(from, start);
      const end = Math.min(to, start + length);
      if (first >= end) continue;
      const rows = this.#arrived.get(keyOf(item, tile)) as Float32Array;
      found.push({ column: first - from, rows: rows.subarray((first - start) * size, (end - start) * size) });
    }
    return found;
  }

  /** Frees the tiles: the prompt is computed. */
  clear(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const key of this.#arrived.keys()) this.#late.add(key);
    this.#arrived.clear();
  }

  #isCovered({ start, length }: TokenSpan): boolean {
    return start + length <= this.#covered;
  }

  #advance(): void {
    for (let span = this.#spans[this.#next]; span !== undefined; span = this.#spans[this.#next]) {
      if (!this.#isCovered(span) && !this.#arrived.has(keyOf(span.item, span.tile))) break;
      this.#next++;
    }
  }
}
