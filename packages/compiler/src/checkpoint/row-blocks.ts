import { type Parameter, rowLength } from './parameters.js';

/** Rows of a parameter, from `first` on. */
interface RowBlock {
  readonly first: number;
  readonly rows: number;
  /** [rows, row length]; gone when the next block is asked for. */
  readonly values: Float32Array;
}

/** Of float32, what is read at once: more is no faster, and a few of them are nothing beside what Node itself takes. */
const rowBlockBytes = 4 * 1024 * 1024;

/** How many rows are read at once: at least one, however long. */
export function rowsAtOnce(shape: readonly number[], bytes: number = rowBlockBytes): number {
  const rows = shape[0] ?? 1;
  return Math.max(1, Math.min(rows, Math.floor(bytes / (4 * Math.max(1, rowLength(shape))))));
}

/** A parameter's rows in order, as many at once as `bytes` of float32 hold: memory does not grow with the tensor. */
export async function* rowBlocks(
  parameter: Parameter,
  signal?: AbortSignal,
  bytes: number = rowBlockBytes,
): AsyncGenerator<RowBlock> {
  const { shape } = parameter;
  const [rows, length] = [shape[0] ?? 1, rowLength(shape)];
  const most = rowsAtOnce(shape, bytes);
  const buffer = new Float32Array(most * length);
  for (let first = 0; first < rows; first += most) {
    signal?.throwIfAborted();
    const count = Math.min(most, rows - first);
    const values = buffer.subarray(0, count * length);
    await parameter.readRows(first, values, signal);
    yield { first, rows: count, values };
  }
}
