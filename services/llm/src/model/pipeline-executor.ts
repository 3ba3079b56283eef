import type { LlmSection } from '@tessera/bundle';
import type { BoundSession } from '@tessera/inference';
import { type Float32Tensor, TesseraError } from '@tessera/protocol';
import { callGroups, inCallsAtOnce, splitDecoding } from './call-groups.js';
import { HostCache, type HostCacheOptions } from './host-cache.js';
import type { LayerPieces } from './layer-pieces.js';
import type { ModelExecutor } from './model-executor.js';
import { cachedLayers, ModelPart } from './model-part.js';
import { OutputBuffers } from './output-buffers.js';
import { longestOf, packRows, padRows } from './packed-rows.js';
import { batchInputs } from './step-inputs.js';
import { computedRows } from './step-outputs.js';
import type { CacheLost, NoMemory, PlannedRow, RowResult, StepPlan, StepResult } from './step-plan.js';
import { Turns } from './turns.js';

export interface PipelineOptions extends HostCacheOptions {
  /** Into how many calls the rows that decode are split, so that no piece waits for another; 1 leaves them together. */
  readonly decodeCalls: number;
}

/** The graphs that are here: the first piece, and what follows the last one. */
export interface PipelineEnds {
  readonly first: BoundSession;
  readonly head: BoundSession;
}

/**
 * The model in pieces of layers, of which the first is here and the others are somewhere else. Each call of a step goes from
 * piece to piece: while the second is here, the first is in the next piece. Embedding and head are here, so that neither
 * logits nor the weights of the vocabulary travel.
 *
 * The cache is that of all pieces together: where one of them loses its own, all is lost.
 */
export class PipelineExecutor implements ModelExecutor {
  readonly #first: ModelPart;
  readonly #head: ModelPart;
  readonly #turns = { first: new Turns(), head: new Turns() };
  readonly #model: LlmSection;
  readonly #cache: HostCache;
  readonly #others: LayerPieces;
  readonly #decodeCalls: number;
  /** For what passes from the first piece to the next. */
  readonly #between = new OutputBuffers();
  readonly #results = new OutputBuffers();
  /** As many losses as the cache is later than. */
  #losses: number;

  constructor(
    { first, head }: PipelineEnds,
    model: LlmSection,
    others: LayerPieces,
    { decodeCalls, ...size }: PipelineOptions,
  ) {
    this.#model = model;
    this.#others = others;
    this.#decodeCalls = decodeCalls;
    this.#losses = others.losses.count;
    this.#cache = new HostCache(model, cachedLayers(first), size);
    this.#first = new ModelPart(first, this.#cache);
    this.#head = new ModelPart(head, this.#cache);
  }

  get vocabSize(): number {
    return this.#model.vocabSize;
  }

  get hiddenSize(): number {
    return this.#model.hiddenSize;
  }

  /** Of the first piece, as all that is said in bytes. */
  get cacheBytes(): ModelExecutor['cacheBytes'] {
    return this.#cache.bytes;
  }

  get positionBytes(): number {
    return this.#cache.positionBytes;
  }

  slotBytesFor(slots: number, positions: number): number {
    return this.#cache.slotBytesFor(slots, positions);
  }

  get missing(): TesseraError | undefined {
    return this.#others.missing;
  }

  onChange(listener: () => void): void {
    this.#others.onChange(listener);
  }

  async execute(plan: StepPlan): Promise<StepResult> {
    if (this.#isLost) return this.#lose();
    try {
      return await this.#execute(plan);
    } finally {
      this.#others.rest?.();
    }
  }

  async release(): Promise<void> {
    await this.#others.release();
    await Promise.all([this.#first.release(), this.#head.release()]);
  }

  get #isLost(): boolean {
    return this.#others.losses.count !== this.#losses || this.#others.missing !== undefined;
  }

  #lose(): CacheLost {
    const { losses, missing, pieces } = this.#others;
    this.#losses = losses.count;
    this.#cache.forget();
    for (const piece of pieces) piece.forget();
    return { cacheLost: losses.last ?? missing ?? new TesseraError('STAGE_UNAVAILABLE', 'a layer shard went away') };
  }

  async #execute({ cache, rows }: StepPlan): Promise<StepResult> {
    this.#between.begin();
    this.#results.begin();
    const { pieces } = this.#others;
    // Sent before the rows, and answered while they are computed.
    const preparing = Promise.allSettled(pieces.map((piece) => piece.prepare(cache)));
    const own = await this.#cache.prepare(cache, () => this.#first.unbind());
    // Calls that any piece can take, however it gets at its cache.
    const groups = own === undefined ? splitDecoding(callGroups(rows, true), this.#decodeCalls) : [];
    const results = await inCallsAtOnce(rows, groups, (group) => this.#compute(group));
    const noMemory = own ?? firstOf(await preparing);
    if (this.#isLost) return this.#lose();
    return noMemory ?? { rows: results };
  }

  async #compute(rows: readonly PlannedRow[]): Promise<RowResult[]> {
    const { hiddenSize: width, vocabSize } = this.#model;
    const seq = longestOf(rows);
    const call = { rows, seq };
    const shape = [rows.length, seq, width];
    const inputs = batchInputs(rows, width);
    let hidden = await this.#turns.first.take(async () => {
      const output_hidden = this.#between.next(shape);
      await this.#first.run(call, inputs, { output_hidden });
      return packRows(output_hidden.data, rows, width);
    });
    for (const piece of this.#others.pieces) hidden = await piece.run(rows, hidden);
    return await this.#turns.head.take(async () => {
      const input_hidden = { dtype: 'float32', shape, data: padRows(hidden, rows, width) } as const;
      const wantedLogits = rows.reduce((sum, row) => sum + row.wantedLogits, 0);
      const outputs: Record<string, Float32Tensor> = { logits: this.#results.next([wantedLogits, vocabSize]) };
      if (rows.some(({ wantsHidden }) => wantsHidden)) outputs.hidden = this.#results.next(shape);
      await this.#head.run(call, { ...inputs, input_hidden }, outputs);
      return computedRows(outputs, rows, { seq, vocabSize, hiddenSize: width });
    });
  }
}

/** What one of the pieces had no memory for. */
function firstOf(prepared: readonly PromiseSettledResult<NoMemory | undefined>[]): NoMemory | undefined {
  for (const each of prepared) if (each.status === 'fulfilled' && each.value !== undefined) return each.value;
  return undefined;
}
