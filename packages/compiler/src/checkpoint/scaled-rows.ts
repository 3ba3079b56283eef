import { TesseraError } from '@tessera/protocol';
import type { ScaledTile } from './quantization.js';

/** Names of a float8 tensor's scales: of DeepSeek's and Qwen's checkpoints, and of compressed-tensors. */
export const scaleNames = (name: string): readonly string[] => [`${name}_scale_inv`, `${name}_scale`];

/** Names of what some checkpoints have beside a float8 tensor. Whether activations are rounded, and by what, is of no matter here. */
export const besideScaled = (name: string): readonly string[] => [
  ...scaleNames(name),
  `${name.replace(/weight$/, '')}input_scale`,
  `${name.replace(/weight$/, '')}input_scale_ub`,
];

/** A scale that would take the largest float8 beyond float32 is none. */
const largestScale = 2 ** 118;

/**
 * Which scale an element of a weight [rows, columns] has: one for all, one for each row, or one for each tile. Chosen by the
 * shape of the scales.
 * @throws TesseraError CHECKPOINT_INVALID where they are none of these
 */
export function scaleGrid(
  what: string,
  shape: readonly number[],
  scales: readonly number[],
  [tileRows, tileColumns]: ScaledTile,
): { readonly rows: number; readonly columns: number; readonly across: number } {
  const [rows = 1, columns = 1] = shape;
  const count = scales.reduce((product, size) => product * size, 1);
  if (count === 1) return { rows: Number.POSITIVE_INFINITY, columns: Number.POSITIVE_INFINITY, across: 1 };
  if (shape.length === 2 && scales[0] === rows && count === rows) {
    return { rows: 1, columns: Number.POSITIVE_INFINITY, across: 1 };
  }
  const tiles = [Math.ceil(rows / tileRows), Math.ceil(columns / tileColumns)];
  if (shape.length === 2 && scales.join() === tiles.join()) {
    return { rows: tileRows, columns: tileColumns, across: tiles[1] as number };
  }
  const expected = `[1], [${rows}, 1] or [${tiles.join(', ')}]`;
  throw new TesseraError(
    'CHECKPOINT_INVALID',
    `${what} is of shape [${scales.join(', ')}], which scales no weight of [${shape.join(', ')}]: ${expected} would`,
  );
}

/** Multiplies rows of `columns` values, of which the first has the number `first`, by their scales. */
export function scaleRows(
  values: Float32Array,
  first: number,
  columns: number,
  scales: Float32Array,
  grid: ReturnType<typeof scaleGrid>,
): void {
  for (let begin = 0, row = first; begin < values.length; begin += columns, row++) {
    const own = Math.floor(row / grid.rows) * grid.across;
    for (let from = 0, at = own; from < columns; from += grid.columns, at++) {
      const scale = scales[at] as number;
      const end = begin + Math.min(from + grid.columns, columns);
      for (let i = begin + from; i < end; i++) values[i] = (values[i] as number) * scale;
    }
  }
}

/** @throws TesseraError CHECKPOINT_INVALID naming the first scale that a weight cannot have */
export function checkScales(what: string, scales: Float32Array): Float32Array {
  const wrong = scales.findIndex((scale) => !(Math.abs(scale) <= largestScale));
  if (wrong < 0) return scales;
  throw new TesseraError('CHECKPOINT_INVALID', `element ${wrong} of ${what} is ${scales[wrong]}, which is no scale`);
}
