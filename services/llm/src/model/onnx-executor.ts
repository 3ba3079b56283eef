import type { LlmSection } from '@tessera/bundle';
import type { Session } from '@tessera/inference';
import type { Float32Tensor, Tensor } from '@tessera/protocol';
import { bytesPerRow } from '../kv/kv-shape.js';
import { type CallGroup, callGroups } from './call-groups.js';
import { HostKvStorage } from './host-kv-storage.js';
import { KeptPrefixes } from './kept-prefixes.js';
import type { ModelExecutor } from './model-executor.js';
import { batchInputs } from './step-inputs.js';
import type { CacheOperation, NoMemory, PlannedRow, RowResult, StepPlan, StepResult } from './step-plan.js';

export interface OnnxExecutorOptions {
  readonly slots: number;
  /** The longest sequence that will be computed; at most the model's context. */
  readonly maxPositions: number;
}

const noNumbers = new Float32Array(0);

/**
 * The whole model as one graph over a Session. Inputs and outputs: @tessera/compiler, stages/causal-lm.ts.
 *
 * New keys and values come out as rows and are appended here; the graph's own `present` outputs would be copied whole.
 */
export class OnnxExecutor implements ModelExecutor {
  readonly #session: Session;
  readonly #model: LlmSection;
  readonly #kv: HostKvStorage;
  readonly #prefixes: KeptPrefixes;

  constructor(session: Session, model: LlmSection, options: OnnxExecutorOptions) {
    this.#session = session;
    this.#model = model;
    this.#kv = new HostKvStorage({
      layers: model.layers,
      slots: options.slots,
      kvHeads: model.kvHeads,
      headDim: model.headDim,
      maxRows: options.maxPositions,
    });
    this.#prefixes = new KeptPrefixes(this.#kv);
  }

  get vocabSize(): number {
    return this.#model.vocabSize;
  }

  get hiddenSize(): number {
    return this.#model.hiddenSize;
  }

  get cacheBytes(): ModelExecutor['cacheBytes'] {
    return { slots: this.#kv.bytes, kept: this.#prefixes.bytes };
  }

  get positionBytes(): number {
    return bytesPerRow(this.#model);
  }

  slotBytesFor(slots: number, positions: number): number {
    return this.#kv.bytesFor(slots, positions);
  }

  async execute({ cache, rows }: StepPlan): Promise<StepResult> {
    const noMemory = this.#prepare(cache);
    if (noMemory !== undefined) return noMemory;
    const results = new Map<PlannedRow, RowResult>();
    for (const group of callGroups(rows)) {
      for (const [index, result] of (await this.#call(group)).entries()) {
        results.set(group.rows[index] as PlannedRow, result);
      }
    }
    return { rows: rows.map((row) => results.get(row) as RowResult) };
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  /** Has the cache be as the plan says; slots are moved even where there is no memory for the rest. */
  #prepare({ operations, slots, positions, loads }: StepPlan['cache']): NoMemory | undefined {
    let failed: NoMemory | undefined;
    for (const operation of operations) {
      try {
        this.#apply(operation);
      } catch (noMemory) {
        failed = { noMemory };
      }
    }
    if (failed !== undefined) return failed;
    try {
      this.#kv.fit(slots, positions);
    } catch (noMemory) {
      return { noMemory };
    }
    for (const load of loads) {
      if (load.type === 'copy') this.#kv.copy(load.from, load.to, load.rows);
      else this.#prefixes.restore(load.prefix, load.slot, load.rows);
    }
    return undefined;
  }

  /** @throws RangeError where there is no memory to keep anything */
  #apply(operation: CacheOperation): void {
    switch (operation.type) {
      case 'copy':
        this.#kv.copy(operation.from, operation.to, operation.rows);
        return;
      case 'swap':
        this.#kv.swap(operation.a, operation.b, operation.rows);
        return;
      case 'keep':
        this.#prefixes.keep(operation.prefix, operation.slot, operation.rows);
        return;
      case 'drop':
        this.#prefixes.drop(operation.prefix);
        return;
    }
  }

  /** A failed call befalls its own rows; those of the others go on. */
  async #call(group: CallGroup): Promise<RowResult[]> {
    try {
      return await this.#compute(group);
    } catch (error) {
      return group.rows.map(() => ({ error }));
    }
  }

  async #compute({ rows, firstSlot }: CallGroup): Promise<RowResult[]> {
    const { layers, vocabSize, hiddenSize } = this.#model;
    const wantsHidden = rows.some((row) => row.wantsHidden);
    const fetches = ['logits', ...(wantsHidden ? ['hidden'] : [])];
    for (let layer = 0; layer < layers; layer++) fetches.push(`new_key.${layer}`, `new_value.${layer}`);
    const inputs = batchInputs(rows, hiddenSize);
    const outputs = await this.#session.run({ ...inputs, ...this.#past(rows.length, firstSlot) }, fetches);
    const seq = inputs.input_ids?.shape[1] as number;
    this.#append(rows, seq, outputs);
    const logits = output(outputs, 'logits');
    const hidden = wantsHidden ? output(outputs, 'hidden') : noNumbers;
    return rows.map(({ tokenIds, ...row }, index) => ({
      logits: logits.subarray(index * vocabSize, (index + 1) * vocabSize),
      hidden: row.wantsHidden
        ? hidden.subarray(index * seq * hiddenSize, (index * seq + tokenIds.length) * hiddenSize)
        : noNumbers,
    }));
  }

  #past(count: number, firstSlot: number | undefined): Record<string, Tensor> {
    const { layers, kvHeads, headDim } = this.#model;
    const feeds: Record<string, Tensor> = {};
    for (let layer = 0; layer < layers; layer++) {
      const shape = [count, kvHeads, firstSlot === undefined ? 0 : this.#kv.capacityOf(layer), headDim];
      const [keys, values] =
        firstSlot === undefined
          ? [noNumbers, noNumbers]
          : [this.#kv.keys(layer, firstSlot, count), this.#kv.values(layer, firstSlot, count)];
      feeds[`past_key.${layer}`] = float32(shape, keys);
      feeds[`past_value.${layer}`] = float32(shape, values);
    }
    return feeds;
  }

  #append(rows: readonly PlannedRow[], seq: number, outputs: Record<string, Tensor>): void {
    for (let layer = 0; layer < this.#model.layers; layer++) {
      const newKeys = output(outputs, `new_key.${layer}`);
      const newValues = output(outputs, `new_value.${layer}`);
      for (const [batchRow, { slot, position, tokenIds }] of rows.entries()) {
        this.#kv.append(layer, slot, position, tokenIds.length, { newKeys, newValues, batchRow, seq });
      }
    }
  }
}

function float32(shape: readonly number[], data: Float32Array): Float32Tensor {
  return { dtype: 'float32', shape, data };
}

function output(outputs: Record<string, Tensor>, name: string): Float32Array {
  return outputs[name]?.data as Float32Array;
}
