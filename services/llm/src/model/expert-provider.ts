import type { TesseraError } from '@tessera/protocol';

/** What one expert is to compute of a layer's rows. */
export interface ExpertWork {
  readonly expert: number;
  /** Rows of the layer, by number. */
  readonly rows: readonly number[];
}

/** The answers float32 [rows, hidden] to one expert's work; or why nobody who holds it can give them at the moment. */
export type ExpertAnswer = { readonly answers: Float32Array } | { readonly unavailable: TesseraError };

/** Computes rows by experts, wherever they are. */
export interface ExpertProvider {
  /** A step begins: which experts are where does not change until the next, but for those that fail. */
  beginStep(): void;
  /** The step has ended. */
  endStep(): void;
  /**
   * One answer for each piece of work, in its order. The arrays are good until the next call.
   * @param rows float32 [n, hidden]: what goes into the layer's experts
   * @throws what computing here fails with
   */
  compute(layer: number, rows: Float32Array, work: readonly ExpertWork[]): Promise<readonly ExpertAnswer[]>;
  /** Resolves when experts may be there that were not, or after a while. */
  changed(withinMs: number): Promise<void>;
  release(): Promise<void>;
}
