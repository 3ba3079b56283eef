/** A sequence as the scheduler sees it. The engine advances the figures; the scheduler reads them. */
export interface Schedulable {
  /** Positions computed so far. */
  readonly cachedTokens: number;
  /** Positions that must be computed before the next token is sampled. */
  readonly promptTokens: number;
  /** How far the prompt can be prefilled with the tiles that are there. */
  readonly readyTokens: number;
  /** Whether the prompt is computed, so that each step adds one token. */
  readonly isDecoding: boolean;
}

/** How much a step may hold. */
export interface SchedulerLimits {
  /** Sequences with a slot. */
  readonly maxRunning: number;
  /** Sequences without one. */
  readonly maxWaiting: number;
  /** Tokens of one step, prefill and decode together: bounds how long a step takes. At least maxRunning. */
  readonly maxStepTokens: number;
  /** Tokens of one sequence's prefill in one step. */
  readonly maxChunkTokens: number;
}

/** What one step computes. */
export interface StepPlan<S extends Schedulable> {
  /** Sequences that get a slot before the step. */
  readonly admitted: readonly S[];
  /** All sequences that decode: one token each. */
  readonly decode: readonly S[];
  /** Prompts, and how many of their next tokens. */
  readonly prefill: readonly { readonly sequence: S; readonly count: number }[];
}

/** Decides what each step computes; computes nothing itself. */
export interface Scheduler<S extends Schedulable> {
  readonly running: number;
  readonly waiting: number;
  /** Whether no more can be added. */
  readonly isFull: boolean;
  add(sequence: S): void;
  /** Forgets a sequence in whatever state. */
  remove(sequence: S): void;
  /** An empty plan means that nothing can be computed until something arrives. */
  plan(): StepPlan<S>;
}
