import type { LlmSection } from '@tessera/bundle';
import type { BoundSession } from '@tessera/inference';
import type { Float32Tensor } from '@tessera/protocol';
import { inCalls } from './call-groups.js';
import { HostCache, type HostCacheOptions } from './host-cache.js';
import { HostCachedExecutor } from './host-cached-executor.js';
import { cachedLayers, ModelPart } from './model-part.js';
import { OutputBuffers } from './output-buffers.js';
import { SteadyTensors } from './steady-tensors.js';
import { batchInputs } from './step-inputs.js';
import { computedRows } from './step-outputs.js';
import type { PlannedRow, RowResult, StepPlan, StepResult } from './step-plan.js';

/** The whole model as one graph. Inputs and outputs: @tessera/compiler, stages/causal-lm.ts. */
export class OnnxExecutor extends HostCachedExecutor {
  readonly #part: ModelPart;
  readonly #inputs = new SteadyTensors();
  readonly #buffers = new OutputBuffers();

  constructor(session: BoundSession, model: LlmSection, options: HostCacheOptions) {
    super(model, new HostCache(model, cachedLayers(session), options));
    this.#part = new ModelPart(session, this.cache);
  }

  async execute({ cache, rows }: StepPlan): Promise<StepResult> {
    const noMemory = await this.cache.prepare(cache, () => this.#part.unbind());
    if (noMemory !== undefined) return noMemory;
    this.#buffers.begin();
    return { rows: await inCalls(rows, this.#part.beginsInPlace, (group) => this.#compute(group)) };
  }

  release(): Promise<void> {
    return this.#part.release();
  }

  async #compute(rows: readonly PlannedRow[]): Promise<RowResult[]> {
    const { vocabSize, hiddenSize } = this.model;
    const seq = rows.reduce((longest, { tokenIds }) => Math.max(longest, tokenIds.length), 0);
    const wantedLogits = rows.reduce((sum, row) => sum + row.wantedLogits, 0);
    const outputs: Record<string, Float32Tensor> = { logits: this.#buffers.next([wantedLogits, vocabSize]) };
    if (rows.some(({ wantsHidden }) => wantsHidden)) {
      outputs.hidden = this.#buffers.next([rows.length, seq, hiddenSize]);
    }
    await this.#part.run({ rows, seq }, this.#inputs.take(batchInputs(rows, hiddenSize)), outputs);
    return computedRows(outputs, rows, { seq, vocabSize, hiddenSize });
  }
}
