import type { TesseraError } from '@tessera/protocol';
import type { NoMemory, PlannedRow, StepPlan } from './step-plan.js';

/** A later piece of a model that is cut by layers, with the cache of its layers. It does what it is asked in order. */
export interface LayerPiece {
  /** Has its cache be as the plan of a step says. @throws TesseraError where its cache is lost */
  prepare(cache: StepPlan['cache']): Promise<NoMemory | undefined>;
  /**
   * Computes rows whose slots lie side by side.
   * @param hidden float32 [positions, hidden]: what the piece before gave, row after row without padding
   * @returns as many numbers, in memory of their own
   * @throws TesseraError what computing failed with; anything where its cache is lost
   */
  run(rows: readonly PlannedRow[], hidden: Float32Array): Promise<Float32Array>;
  /** Nothing that its cache holds is of use any more. */
  forget(): void;
}

/** All pieces of a model but the first, wherever they are. */
export interface LayerPieces {
  /** In their order. */
  readonly pieces: readonly LayerPiece[];
  /** Why not all of them are there; undefined when they are. */
  readonly missing: TesseraError | undefined;
  /** How often one of them has lost its cache, and why the last time. */
  readonly losses: { readonly count: number; readonly last: TesseraError | undefined };
  /** Has the listener be called whenever one came or went. */
  onChange(listener: () => void): void;
  /** Told that a step is over: before the next one nothing is asked of them. */
  rest?(): void;
  release(): Promise<void>;
}
