import type { LlmSection } from '@tessera/bundle';
import type { BoundSession } from '@tessera/inference';
import { type Float32Tensor, TesseraError } from '@tessera/protocol';
import { callGroups, inCallsAtOnce } from './call-groups.js';
import { HostCache, type HostCacheOptions } from './host-cache.js';
import { HostCachedExecutor } from './host-cached-executor.js';
import type { LayerPieces } from './layer-pieces.js';
import { cachedLayers, ModelPart } from './model-part.js';
import { OutputBuffers } from './output-buffers.js';
import { longestOf, packRowsAnew, padRows } from './packed-rows.js';
import { batchInputs } from './step-inputs.js';
import { computedRows } from './step-outputs.js';
import type { CacheLost, NoMemory, PlannedRow, RowResult, StepPlan, StepResult } from './step-plan.js';
import { Turns } from './turns.js';

export interface PipelineOptions extends HostCacheOptions {
  /** So many steps may be under way, so that no piece waits for another; 0: as many as there are pieces. */
  readonly stepsAtOnce: number;
}

/** The graphs that are here: the first piece, and what follows the last one. */
export interface PipelineEnds {
  readonly first: BoundSession;
  readonly head: BoundSession;
}

/**
 * The model in pieces of layers, of which the first is here and the others are somewhere else. Each call goes from piece to
 * piece, and so does each step: while the second is here, the first is in the next piece. Embedding and head are here, so that
 * neither logits nor the weights of the vocabulary travel.
 *
 * The cache is that of all pieces together: where one of them loses its own, all is lost.
 */
export class PipelineExecutor extends HostCachedExecutor {
  readonly stepsAtOnce: number;
  readonly #first: ModelPart;
  readonly #head: ModelPart;
  readonly #turns = { first: new Turns(), head: new Turns() };
  readonly #others: LayerPieces;
  /** For what passes from the first piece to the next. */
  readonly #between = new OutputBuffers();
  /** For what steps give, each of those that are under way its own. */
  readonly #results: readonly OutputBuffers[];
  #steps = 0;
  #underWay = 0;
  /** Whether a step that is under way, or was with one that is, has lost the cache. */
  #isSpoilt = false;
  /** As many losses as the cache is later than. */
  #losses: number;

  constructor(
    { first, head }: PipelineEnds,
    model: LlmSection,
    others: LayerPieces,
    { stepsAtOnce, ...size }: PipelineOptions,
  ) {
    super(model, new HostCache(model, cachedLayers(first), size));
    this.#others = others;
    this.#losses = others.losses.count;
    this.stepsAtOnce = stepsAtOnce === 0 ? others.pieces.length + 1 : stepsAtOnce;
    this.#results = Array.from({ length: this.stepsAtOnce }, () => new OutputBuffers());
    this.#first = new ModelPart(first, this.cache);
    this.#head = new ModelPart(head, this.cache);
  }

  get missing(): TesseraError | undefined {
    return this.#others.missing;
  }

  onChange(listener: () => void): void {
    this.#others.onChange(listener);
  }

  async execute(plan: StepPlan): Promise<StepResult> {
    this.#underWay++;
    try {
      const result = await this.#execute(plan);
      this.#isSpoilt ||= 'cacheLost' in result;
      return result;
    } finally {
      if (--this.#underWay === 0) this.#rest();
    }
  }

  async #execute({ cache, rows }: StepPlan): Promise<StepResult> {
    if (this.#isSpoilt || this.#isLost) return this.#lost();
    const results = this.#results[this.#steps++ % this.stepsAtOnce] as OutputBuffers;
    results.begin();
    const pieces = cache.isDone === true ? [] : this.#others.pieces;
    // Sent before the rows, and answered while they are computed.
    const preparing = Promise.allSettled(pieces.map((piece) => piece.prepare(cache)));
    const own = await this.cache.prepare(cache, () => this.#first.unbind());
    // Calls that any piece can take, however it gets at its cache.
    const groups = own === undefined ? callGroups(rows, true) : [];
    const computed = await inCallsAtOnce(rows, groups, (group) => this.#compute(group, results));
    const noMemory = own ?? firstOf(await preparing);
    if (this.#isSpoilt || this.#isLost) return this.#lost();
    return noMemory ?? { rows: computed };
  }

  async release(): Promise<void> {
    await this.#others.release();
    await Promise.all([this.#first.release(), this.#head.release()]);
  }

  get #isLost(): boolean {
    return this.#others.losses.count !== this.#losses || this.#others.missing !== undefined;
  }

  #lost(): CacheLost {
    const { losses, missing } = this.#others;
    return { cacheLost: losses.last ?? missing ?? new TesseraError('STAGE_UNAVAILABLE', 'a layer shard went away') };
  }

  /** No step is under way. Only now: those that began before a loss all end with it. */
  #rest(): void {
    if (this.#isSpoilt) {
      this.#isSpoilt = false;
      this.#losses = this.#others.losses.count;
      this.cache.forget();
      for (const piece of this.#others.pieces) piece.forget();
    }
    this.#others.rest?.();
  }

  async #compute(rows: readonly PlannedRow[], results: OutputBuffers): Promise<RowResult[]> {
    const { hiddenSize: width, vocabSize } = this.model;
    const seq = longestOf(rows);
    const call = { rows, seq };
    const shape = [rows.length, seq, width];
    const inputs = batchInputs(rows, width);
    let hidden = await this.#turns.first.take(async () => {
      this.#between.begin();
      const output_hidden = this.#between.next(shape);
      await this.#first.run(call, inputs, { output_hidden });
      return packRowsAnew(output_hidden.data, rows, width);
    });
    for (const piece of this.#others.pieces) hidden = await piece.run(rows, hidden);
    return await this.#turns.head.take(async () => {
      const input_hidden = { dtype: 'float32', shape, data: padRows(hidden, rows, width) } as const;
      const wantedLogits = rows.reduce((sum, row) => sum + row.wantedLogits, 0);
      const outputs: Record<string, Float32Tensor> = { logits: results.next([wantedLogits, vocabSize]) };
      if (rows.some(({ wantsHidden }) => wantsHidden)) outputs.hidden = results.next(shape);
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
