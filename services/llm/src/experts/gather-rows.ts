interface RowPiece {
  /** Rows by number. */
  readonly rows: readonly number[];
}

export function countRows(pieces: readonly RowPiece[]): number {
  return pieces.reduce((sum, { rows }) => sum + rows.length, 0);
}

/**
 * The rows of the first piece, then those of the second, and so on.
 * @param source float32 [n, width]
 */
export function gatherRows(source: Float32Array, pieces: readonly RowPiece[], width: number): Float32Array {
  const target = new Float32Array(countRows(pieces) * width);
  let at = 0;
  for (const { rows } of pieces) {
    for (const row of rows) {
      target.set(source.subarray(row * width, (row + 1) * width), at);
      at += width;
    }
  }
  return target;
}

/** What belongs to each piece of what answers all of them, as views. */
export function cutRows(answers: Float32Array, pieces: readonly RowPiece[], width: number): Float32Array[] {
  let at = 0;
  return pieces.map(({ rows }) => {
    const own = answers.subarray(at, at + rows.length * width);
    at += own.length;
    return own;
  });
}
