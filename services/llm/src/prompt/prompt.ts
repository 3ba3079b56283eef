import type { ModalityTokens } from '@tessera/protocol';

/** The positions of one tile's visual tokens in a prompt. */
export interface TokenSpan {
  /** The media item, counted from 0. The same item may fill several spans. */
  readonly item: number;
  readonly tile: number;
  /** Index of the first position. */
  readonly start: number;
  /** How many positions. */
  readonly length: number;
}

/** A prompt ready for prefill. */
export interface Prompt {
  /** Media positions hold the model's pad token. */
  readonly tokenIds: readonly number[];
  /** In the order of their positions. */
  readonly spans: readonly TokenSpan[];
  /** Its tokens by what they stand for; what has none is left out. */
  readonly byModality: readonly ModalityTokens[];
}
