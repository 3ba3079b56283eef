import type { LlmSection } from '@tessera/bundle';
import type { Binding, BoundSession } from '@tessera/inference';
import type { Float32Tensor } from '@tessera/protocol';
import { AppendingAccess, type CacheAccess, InPlaceAccess } from './cache-access.js';
import { inCalls } from './call-groups.js';
import { HostCache, type HostCacheOptions } from './host-cache.js';
import type { ModelExecutor } from './model-executor.js';
import { OutputBuffers } from './output-buffers.js';
import { batchInputs } from './step-inputs.js';
import { computedRows } from './step-outputs.js';
import type { PlannedRow, RowResult, StepPlan, StepResult } from './step-plan.js';

/** The whole model as one graph. Inputs and outputs: @tessera/compiler, stages/causal-lm.ts. */
export class OnnxExecutor implements ModelExecutor {
  readonly #session: BoundSession;
  /** One without final hidden states, one with: what is bound stays bound. */
  #bindings: { readonly plain: Binding; readonly withHidden: Binding };
  readonly #model: LlmSection;
  readonly #cache: HostCache;
  readonly #access: CacheAccess;
  readonly #buffers = new OutputBuffers();

  constructor(session: BoundSession, model: LlmSection, options: HostCacheOptions) {
    this.#session = session;
    this.#bindings = { plain: session.createBinding(), withHidden: session.createBinding() };
    this.#model = model;
    this.#cache = new HostCache(model, options);
    const { storage } = this.#cache;
    this.#access =
      session.backend === 'native' ? new InPlaceAccess(model, storage) : new AppendingAccess(model, this.#cache);
  }

  get vocabSize(): number {
    return this.#model.vocabSize;
  }

  get hiddenSize(): number {
    return this.#model.hiddenSize;
  }

  get cacheBytes(): ModelExecutor['cacheBytes'] {
    return this.#cache.bytes;
  }

  get positionBytes(): number {
    return this.#cache.positionBytes;
  }

  slotBytesFor(slots: number, positions: number): number {
    return this.#cache.slotBytesFor(slots, positions);
  }

  async execute({ cache, rows }: StepPlan): Promise<StepResult> {
    const noMemory = await this.#cache.prepare(cache, () => this.#unbind());
    if (noMemory !== undefined) return noMemory;
    this.#buffers.begin();
    return { rows: await inCalls(rows, this.#access.beginsInPlace, (group) => this.#compute(group)) };
  }

  async release(): Promise<void> {
    await this.#session.close();
  }

  /** What is bound would keep the memory of each layer that is replaced, and so a second cache. */
  async #unbind(): Promise<void> {
    const { plain, withHidden } = this.#bindings;
    await Promise.all([plain.release(), withHidden.release()]);
    this.#bindings = { plain: this.#session.createBinding(), withHidden: this.#session.createBinding() };
  }

  async #compute(rows: readonly PlannedRow[]): Promise<RowResult[]> {
    const { vocabSize, hiddenSize } = this.#model;
    const wantsHidden = rows.some((row) => row.wantsHidden);
    const binding = wantsHidden ? this.#bindings.withHidden : this.#bindings.plain;
    const seq = rows.reduce((longest, { tokenIds }) => Math.max(longest, tokenIds.length), 0);
    const call = { rows, seq };
    const wantedLogits = rows.reduce((sum, row) => sum + row.wantedLogits, 0);
    const logits = this.#buffers.next([wantedLogits, vocabSize]);
    const outputs: Record<string, Float32Tensor> = { logits };
    if (wantsHidden) outputs.hidden = this.#buffers.next([rows.length, seq, hiddenSize]);
    binding.bindInputs({ ...batchInputs(rows, hiddenSize), ...this.#access.inputs(call) });
    binding.bindOutputs({ ...outputs, ...this.#access.outputs(call) });
    await binding.run();
    this.#access.ran(call);
    return computedRows(outputs, rows, { seq, vocabSize, hiddenSize });
  }
}
