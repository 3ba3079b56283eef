import type { TesseraError } from '@tessera/protocol';
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
  /**
   * Why no step can be carried out at the moment, where a part of the model is elsewhere and not there; a step that is asked
   * for all the same loses the cache. Undefined where one can.
   */
  readonly missing?: TesseraError | undefined;
  /** Has the listener be called whenever `missing` may have changed. */
  onChange?(listener: () => void): void;
  /**
   * How many steps may be under way at a time; 1 where it is not said. A step that begins while another one is under way
   * shares no slot with it, and neither of them changes the cache but by its rows. Each ends after those that began before it.
   */
  readonly stepsAtOnce?: number;
  execute(plan: StepPlan): Promise<StepResult>;
  release(): Promise<void>;
}
