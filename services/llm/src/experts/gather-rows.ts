/**
 * Rows by number, one after the other.
 * @param source float32 [n, width]
 * @param target takes them from `offset` (in numbers) on
 */
export function gatherRows(
  source: Float32Array,
  rows: readonly number[],
  width: number,
  target: Float32Array = new Float32Array(rows.length * width),
  offset = 0,
): Float32Array {
  for (const [at, row] of rows.entries()) {
    target.set(source.subarray(row * width, (row + 1) * width), offset + at * width);
  }
  return target;
}
