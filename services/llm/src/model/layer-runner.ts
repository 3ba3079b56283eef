import type { LlmSection } from '@tessera/bundle';
import type { BoundSession } from '@tessera/inference';
import { TesseraError } from '@tessera/protocol';
import { HostCache, type HostCacheOptions } from './host-cache.js';
import type { LayerPiece } from './layer-pieces.js';
import { cachedLayers, ModelPart } from './model-part.js';
import { OutputBuffers } from './output-buffers.js';
import { longestOf, packRowsAnew, padRows } from './packed-rows.js';
import { batchInputs } from './step-inputs.js';
import type { NoMemory, PlannedRow, StepPlan } from './step-plan.js';
import { Turns } from './turns.js';

/** A later piece in this process. Inputs and outputs of its graph: @tessera/compiler, stages/layer-pieces.ts. */
export class LayerRunner implements LayerPiece {
  readonly #part: ModelPart;
  readonly #cache: HostCache;
  readonly #hiddenSize: number;
  readonly #buffers = new OutputBuffers();
  readonly #turns = new Turns();
  /** What the cache has room for, as the last plan says; a graph would write beyond it. */
  #room = { slots: 0, positions: 0 };

  /** @param session may be that of several, each of which has a cache of its own; who made it closes it */
  constructor(session: BoundSession, model: LlmSection, options: HostCacheOptions) {
    this.#hiddenSize = model.hiddenSize;
    this.#cache = new HostCache(model, cachedLayers(session), options);
    this.#part = new ModelPart(session, this.#cache);
  }

  /** Bytes of its cache now. */
  get cacheBytes(): number {
    const { slots, kept } = this.#cache.bytes;
    return slots + kept;
  }

  /** Bytes that so many slots of so many positions take. */
  slotBytesFor(slots: number, positions: number): number {
    return this.#cache.slotBytesFor(slots, positions);
  }

  prepare(cache: StepPlan['cache']): Promise<NoMemory | undefined> {
    return this.#turns.take(async () => {
      this.#buffers.begin();
      this.#room = { slots: 0, positions: 0 };
      const noMemory = await this.#cache.prepare(cache, () => this.#part.unbind());
      if (noMemory === undefined) this.#room = { slots: cache.slots, positions: cache.positions };
      return noMemory;
    });
  }

  run(rows: readonly PlannedRow[], hidden: Float32Array): Promise<Float32Array> {
    return this.#turns.take(async () => {
      this.#requireRoom(rows);
      const width = this.#hiddenSize;
      const seq = longestOf(rows);
      const shape = [rows.length, seq, width];
      const input_hidden = { dtype: 'float32', shape, data: padRows(hidden, rows, width) } as const;
      const output_hidden = this.#buffers.next(shape);
      await this.#part.run({ rows, seq }, { ...batchInputs(rows, width), input_hidden }, { output_hidden });
      return packRowsAnew(output_hidden.data, rows, width);
    });
  }

  forget(): void {
    void this.#turns.take(async () => this.#cache.forget());
  }

  #requireRoom(rows: readonly PlannedRow[]): void {
    const { slots, positions } = this.#room;
    const [first] = rows;
    for (const [index, { slot, position, tokenIds }] of rows.entries()) {
      const end = position + tokenIds.length;
      const fits =
        slot === (first as PlannedRow).slot + index && slot < slots && end <= positions && tokenIds.length > 0;
      if (fits) continue;
      const message = `positions ${position} to ${end - 1} of slot ${slot} are not in a cache of ${slots} slots of ${positions}`;
      throw new TesseraError('REQUEST_INVALID', message, { field: 'call.rows' });
    }
  }

  /** Lets go of the memory that it has; the session stays. */
  release(): Promise<void> {
    return this.#turns.take(() => this.#part.unbind());
  }
}
