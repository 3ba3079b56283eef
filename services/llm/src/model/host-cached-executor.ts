import type { LlmSection } from '@tessera/bundle';
import type { HostCache } from './host-cache.js';
import type { ModelExecutor } from './model-executor.js';
import type { StepPlan, StepResult } from './step-plan.js';

/** An executor whose cache, or the part of it that is here, is in this process's memory: what it says of model and cache. */
export abstract class HostCachedExecutor implements ModelExecutor {
  protected constructor(
    protected readonly model: LlmSection,
    protected readonly cache: HostCache,
  ) {}

  get vocabSize(): number {
    return this.model.vocabSize;
  }

  get hiddenSize(): number {
    return this.model.hiddenSize;
  }

  get cacheBytes(): ModelExecutor['cacheBytes'] {
    return this.cache.bytes;
  }

  get positionBytes(): number {
    return this.cache.positionBytes;
  }

  slotBytesFor(slots: number, positions: number): number {
    return this.cache.slotBytesFor(slots, positions);
  }

  abstract execute(plan: StepPlan): Promise<StepResult>;
  abstract release(): Promise<void>;
}
