import { TesseraError } from '@tessera/protocol';

/**
 * How the LLM is cut, besides being there whole: `experts` makes each expert a graph of its own, `layers=N` gives N pieces
 * of layers that follow each other.
 */
export type Cut = 'experts' | `layers=${number}`;

/** @throws TesseraError REQUEST_INVALID that says what there is */
export function parseCut(text: string): Cut {
  if (text === 'experts') return text;
  const pieces = /^layers=(\d{1,6})$/.exec(text)?.[1];
  if (pieces !== undefined && Number(pieces) >= 2) return `layers=${Number(pieces)}`;
  const message = `a model is not cut by ${text}: say experts, or layers=N for N pieces of layers, 2 at least; one of them, not both`;
  throw new TesseraError('REQUEST_INVALID', message, { field: 'cut' });
}

/** How many pieces of layers a cut makes; undefined where it makes none. */
export function piecesOf(cut: Cut | undefined): number | undefined {
  return cut === undefined || cut === 'experts' ? undefined : Number(cut.slice('layers='.length));
}
