/** A sequence as the scheduler sees it. The engine advances the figures; the scheduler reads them. */
export interface Schedulable {
  /** Its slot of the cache; -1 without one. */
  readonly slot: number;
  /** Whether a step that computes some of it has begun, and not ended: the next one leaves it alone. */
  readonly isUnderWay: boolean;
  /** Positions computed so far. */
  readonly cachedTokens: number;
  /** Positions that must be computed before the next token is sampled. */
  readonly promptTokens: number;
  /** How far the prompt can be prefilled with the tiles that are there. */
  readonly readyTokens: number;
  /** The most positions that it can come to. */
  readonly maxTokens: number;
  /** Whether the prompt is computed, so that each step adds a token or more. */
  readonly isDecoding: boolean;
  /** Whether an engine had admitted it before: then it was promised an answer. */
  readonly isTakeover: boolean;
  /** Those with a higher one go first. */
  readonly priority: number;
  /** Whose turns are shared out evenly. */
  readonly client: string;
  /**
   * Guesses tokens to be computed, and verified, with the next one.
   * @param most so many at most
   * @returns how many they are
   */
  propose(most: number): number;
}

/** How much a step may hold, and how many may wait. */
export interface SchedulerLimits {
  /** Sequences with a slot. */
  readonly maxRunning: number;
  /** Sequences without one that have all of their tiles. */
  readonly maxWaiting: number;
  /** Sequences that wait for tiles. */
  readonly maxWaitingForTiles: number;
  /** Sequences taken over that wait; they are not refused for any other limit. */
  readonly maxTakeovers: number;
  /** Tokens of one step, prefill and decode together: bounds how long a step takes. At least maxRunning. */
  readonly maxStepTokens: number;
  /** Tokens of one sequence's prefill in one step. */
  readonly maxChunkTokens: number;
}

/** Whether the cache may come to hold so many sequences, the longest of which has so many positions. */
export type CacheRoom = (sequences: number, longest: number) => boolean;

/** How slots change hands before a step. */
export interface SlotAssignment<S extends Schedulable> {
  /** Sequences that lose their slot, and begin again when they get another. */
  readonly displaced: readonly S[];
  /** Sequences that get a slot. */
  readonly admitted: readonly S[];
}

/** Which sequences a step computes, and how much of each. */
export interface StepSchedule<S extends Schedulable> {
  /** Sequences that decode: one token each, or those that one proposes besides. */
  readonly decode: readonly StepPart<S>[];
  /** Prompts, and how many of their next tokens. */
  readonly prefill: readonly StepPart<S>[];
}

/** A sequence's part of a step: so many of its next positions. */
export interface StepPart<S> {
  readonly sequence: S;
  readonly count: number;
}

/** Decides what each step computes; computes nothing itself. */
export interface Scheduler<S extends Schedulable> {
  /** Sequences with a slot. */
  readonly running: number;
  /** Sequences that have all that they need but a slot. */
  readonly waiting: number;
  /** Sequences that wait for tiles, without a slot. */
  readonly waitingForTiles: number;
  /** Says what is full for a sequence, in the words of an error; undefined when it can be added. */
  fullFor(sequence: S): string | undefined;
  add(sequence: S): void;
  /** Forgets a sequence in whatever state. */
  remove(sequence: S): void;
  /** Takes all slots back. Those that had one come before all that wait, in their order. */
  displaceAll(): readonly S[];
  /** Comes before `plan`: what a sequence that gets a slot has in the cache counts there. */
  assignSlots(): SlotAssignment<S>;
  /**
   * An empty schedule means that nothing can be computed until something arrives, or a step that is under way ends.
   * @param stepsAtOnce so many steps can be under way: sequences that decode are shared out over them
   */
  plan(stepsAtOnce: number): StepSchedule<S>;
  /** What was planned has begun, and counts as what its clients got. */
  began(schedule: StepSchedule<S>): void;
}
