/**
 * A form as a machine over bytes: states with edges for ranges of bytes, for nothing, and for calls of rules, which come back
 * to a state when the rule has its end. Plain arrays, so that it can go to another thread.
 */
export interface ConstraintProgram {
  /** Names the form among others. */
  readonly key: string;
  /** The state in which a text begins. */
  readonly start: number;
  /** By state, where its edges begin in `edges`; one more at the end. */
  readonly edgesFrom: Int32Array;
  /** Three numbers an edge: see `edgeKinds`. */
  readonly edges: Int32Array;
  /** By state, whether a rule is complete in it. */
  readonly isEnd: Uint8Array;
  /** By state, how many levels of nesting its rule still needs at least; `endless` where it can never be completed. */
  readonly nestingNeeded: Uint8Array;
}

/** How edges are written: a range of bytes as [from * 256 + to, target, 0]; others with these first. */
export const edgeKinds = {
  /** [nothing, target, 0] */
  nothing: -1,
  /** [call, the rule's first state, where it comes back to] */
  call: -2,
  /** [nestedCall, the rule's first state, where it comes back to]; a level of nesting. */
  nestedCall: -3,
} as const;

/** Levels of nesting that a text has at most. */
export const mostNesting = 32;
/** Of a state that no text leads out of. */
export const endless = 255;
