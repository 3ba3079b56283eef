/** What a piece is, in sentencepiece's numbers. */
export const pieceTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface Piece {
  readonly text: string;
  /** Log likelihood; of BPE less for each merge that comes later. */
  readonly score: number;
  /** One of `pieceTypes`. */
  readonly type: number;
}

/** What sentencepiece trained: a vocabulary by id, and how a text is made ready for it. */
export interface SentencePieceModel {
  readonly algorithm: 'bpe' | 'unigram';
  readonly pieces: readonly Piece[];
  /** A map of characters, or empty. */
  readonly charsmap: Uint8Array;
  /** Whether a text begins as a word does. */
  readonly addDummyPrefix: boolean;
  /** Whether spaces at the ends of a text, and all but one in a row, are left out. */
  readonly removeExtraWhitespaces: boolean;
}
