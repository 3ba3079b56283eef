import type { PlannedRow } from './step-plan.js';

type Rows = readonly Pick<PlannedRow, 'tokenIds'>[];

/** How many positions rows have together. */
function positionsOf(rows: Rows): number {
  return rows.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
}

/** The longest row's positions. */
export function longestOf(rows: Rows): number {
  return rows.reduce((longest, { tokenIds }) => Math.max(longest, tokenIds.length), 0);
}

/** [batch, longest, width] without what pads the shorter rows: [positions, width]. The same array where nothing pads. */
function packRows(padded: Float32Array, rows: Rows, width: number): Float32Array {
  const seq = longestOf(rows);
  if (positionsOf(rows) === rows.length * seq) return padded;
  const packed = new Float32Array(positionsOf(rows) * width);
  let at = 0;
  for (const [row, { tokenIds }] of rows.entries()) {
    const from = row * seq * width;
    packed.set(padded.subarray(from, from + tokenIds.length * width), at);
    at += tokenIds.length * width;
  }
  return packed;
}

/** The same in memory of its own, for what is still read when the next call is computed. */
export function packRowsAnew(padded: Float32Array, rows: Rows, width: number): Float32Array {
  const packed = packRows(padded, rows, width);
  return packed === padded ? packed.slice() : packed;
}

/** [positions, width] with zeros behind the shorter rows: [batch, longest, width]. The same array where all are as long. */
export function padRows(packed: Float32Array, rows: Rows, width: number): Float32Array {
  const seq = longestOf(rows);
  if (positionsOf(rows) === rows.length * seq) return packed;
  const padded = new Float32Array(rows.length * seq * width);
  let at = 0;
  for (const [row, { tokenIds }] of rows.entries()) {
    padded.set(packed.subarray(at, at + tokenIds.length * width), row * seq * width);
    at += tokenIds.length * width;
  }
  return padded;
}
