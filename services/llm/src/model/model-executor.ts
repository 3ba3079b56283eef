import type { StepPlan, StepResult } from './step-plan.js';

/**
 * Carries out steps of one model, and owns its cache's memory. One process, a chain of layer shards, or a set of experts
 * elsewhere: whoever plans the steps does not know which.
 */
export interface ModelExecutor {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Bytes that the cache holds now. */
  readonly cacheBytes: number;
  /** Bytes that it holds once it has so many slots of so many positions. */
  cacheBytesFor(slots: number, positions: number): number;
  /** One after the other: the next one's plan is made of what this one gave. */
  execute(plan: StepPlan): Promise<StepResult>;
  release(): Promise<void>;
}
