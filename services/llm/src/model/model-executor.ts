import type { StepPlan, StepResult } from './step-plan.js';

/**
 * Carries out steps of one model, and owns its cache's memory. One process, a chain of layer shards, or a set of experts
 * elsewhere: whoever plans the steps does not know which.
 */
export interface ModelExecutor {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Bytes of the cache now: of its slots, and of the beginnings that are kept. */
  readonly cacheBytes: { readonly slots: number; readonly kept: number };
  /** Bytes of one position that is kept. */
  readonly positionBytes: number;
  /** Bytes that so many slots of so many positions take. */
  slotBytesFor(slots: number, positions: number): number;
  /** One after the other: the next one's plan is made of what this one gave. */
  execute(plan: StepPlan): Promise<StepResult>;
  release(): Promise<void>;
}
