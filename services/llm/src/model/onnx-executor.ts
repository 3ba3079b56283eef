import type { LlmSection } from '@tessera/bundle';
import type { Binding, BoundSession, PlacedTensor } from '@tessera/inference';
import { bytesPerRow } from '../kv/kv-shape.js';
import { AppendingAccess, type CacheAccess, InPlaceAccess } from './cache-access.js';
import { callGroups } from './call-groups.js';
import { HostKvStorage } from './host-kv-storage.js';
import { KeptPrefixes } from './kept-prefixes.js';
import type { ModelExecutor } from './model-executor.js';
import { OutputBuffers } from './output-buffers.js';
import { batchInputs } from './step-inputs.js';
import type { CacheOperation, NoMemory, PlannedRow, RowResult, StepPlan, StepResult } from './step-plan.js';

export interface OnnxExecutorOptions {
  readonly slots: number;
  /** The longest sequence that will be computed; at most the model's context. */
  readonly maxPositions: number;
}

const noNumbers = new Float32Array(0);

/** The whole model as one graph. Inputs and outputs: @tessera/compiler, stages/causal-lm.ts. */
export class OnnxExecutor implements ModelExecutor {
  readonly #session: BoundSession;
  /** One without final hidden states, one with: what is bound stays bound. */
  #bindings: { readonly plain: Binding; readonly withHidden: Binding };
  readonly #model: LlmSection;
  readonly #kv: HostKvStorage;
  readonly #prefixes: KeptPrefixes;
  readonly #access: CacheAccess;
  readonly #buffers = new OutputBuffers();

  constructor(session: BoundSession, model: LlmSection, options: OnnxExecutorOptions) {
    this.#session = session;
    this.#bindings = { plain: session.createBinding(), withHidden: session.createBinding() };
    this.#model = model;
    this.#kv = new HostKvStorage({
      layers: model.layers,
      slots: options.slots,
      kvHeads: model.kvHeads,
      headDim: model.headDim,
      maxRows: options.maxPositions,
    });
    this.#prefixes = new KeptPrefixes(this.#kv);
    this.#access =
      session.backend === 'native' ? new InPlaceAccess(model, this.#kv) : new AppendingAccess(model, this.#kv);
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
    const noMemory = await this.#prepare(cache);
    if (noMemory !== undefined) return noMemory;
    this.#buffers.begin();
    const results = new Map<PlannedRow, RowResult>();
    for (const group of callGroups(rows, this.#access.beginsInPlace)) {
      for (const [index, result] of (await this.#call(group)).entries()) {
        results.set(group[index] as PlannedRow, result);
      }
    }
    return { rows: rows.map((row) => results.get(row) as RowResult) };
  }

  async release(): Promise<void> {
    await this.#session.close();
  }

  /** Has the cache be as the plan says; slots are moved even where there is no memory for the rest. */
  async #prepare({ operations, slots, positions, loads }: StepPlan['cache']): Promise<NoMemory | undefined> {
    let failed: NoMemory | undefined;
    for (const operation of operations) {
      try {
        this.#apply(operation);
      } catch (noMemory) {
        failed = { noMemory };
      }
    }
    if (failed !== undefined) return failed;
    // What is bound would keep the memory of each layer that is replaced, and so a second cache.
    if (this.#kv.wouldResize(slots, positions)) await this.#unbind();
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

  async #unbind(): Promise<void> {
    const { plain, withHidden } = this.#bindings;
    await Promise.all([plain.release(), withHidden.release()]);
    this.#bindings = { plain: this.#session.createBinding(), withHidden: this.#session.createBinding() };
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
  async #call(rows: readonly PlannedRow[]): Promise<RowResult[]> {
    try {
      return await this.#compute(rows);
    } catch (error) {
      return rows.map(() => ({ error }));
    }
  }

  async #compute(rows: readonly PlannedRow[]): Promise<RowResult[]> {
    const { vocabSize, hiddenSize } = this.#model;
    const wantsHidden = rows.some((row) => row.wantsHidden);
    const binding = wantsHidden ? this.#bindings.withHidden : this.#bindings.plain;
    const seq = rows.reduce((longest, { tokenIds }) => Math.max(longest, tokenIds.length), 0);
    const call = { rows, seq };
    const logits = this.#buffers.next([rows.length, vocabSize]);
    const outputs: Record<string, PlacedTensor> = { logits, ...this.#access.outputs(call) };
    const hidden = wantsHidden ? this.#buffers.next([rows.length, seq, hiddenSize]) : undefined;
    if (hidden !== undefined) outputs.hidden = hidden;
    binding.bindInputs({ ...batchInputs(rows, hiddenSize), ...this.#access.inputs(call) });
    binding.bindOutputs(outputs);
    await binding.run();
    this.#access.ran(call);
    return rows.map(({ tokenIds, ...row }, index) => ({
      logits: logits.data.subarray(index * vocabSize, (index + 1) * vocabSize),
      hidden:
        row.wantsHidden && hidden !== undefined
          ? hidden.data.subarray(index * seq * hiddenSize, (index * seq + tokenIds.length) * hiddenSize)
          : noNumbers,
    }));
  }
}
