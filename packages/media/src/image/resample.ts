import type { ResampleFilter } from '@tessera/bundle';
import { throwIfAborted } from '@tessera/flow';
import type { ImageRaster } from '../media-info.js';
import { type AxisWeights, axisWeights, weightBits } from './axis-weights.js';
import type { ViewPlacement } from './place-view.js';

/** Multiplications between two looks at the event loop: a few milliseconds. */
const sliceOperations = 2_000_000;
/** Rounds to nearest before the fraction is dropped; sharp filters overshoot, so the arrays it is written to clamp. */
const half = 1 << (weightBits - 1);

/** Counts work, and lets others have the event loop each time a slice is full. */
function slicer(signal: AbortSignal | undefined): (operations: number) => Promise<void> | undefined {
  let done = 0;
  return (operations) => {
    done += operations;
    if (done < sliceOperations) return undefined;
    done = 0;
    return new Promise<void>((resolve) => setImmediate(resolve)).then(() => throwIfAborted(signal));
  };
}

/** One row of pixels to one row of the window. */
function resampleRow(
  input: Uint8Array,
  inputStart: number,
  output: Uint8ClampedArray,
  outputStart: number,
  axis: AxisWeights,
  background: readonly number[],
): void {
  const [red = 0, green = 0, blue = 0] = background;
  const { starts, counts, offsets, weights } = axis;
  let out = outputStart;
  for (let x = 0; x < starts.length; x++) {
    const outside = axis.background[x] as number;
    let r = half + outside * red;
    let g = half + outside * green;
    let b = half + outside * blue;
    let at = inputStart + (starts[x] as number) * 3;
    const end = (offsets[x] as number) + (counts[x] as number);
    for (let k = offsets[x] as number; k < end; k++) {
      const weight = weights[k] as number;
      r += (input[at++] as number) * weight;
      g += (input[at++] as number) * weight;
      b += (input[at++] as number) * weight;
    }
    output[out++] = r >> weightBits;
    output[out++] = g >> weightBits;
    output[out++] = b >> weightBits;
  }
}

/**
 * Resizes a picture and cuts a window out of it, computing only the window. The arithmetic is Pillow's, bit for bit:
 * columns first, then rows, fixed-point weights, rounded to 8 bits after each. (libvips's kernels round elsewhere and
 * average differently, which moves a model's input by more than its tolerance.) Background around the picture is never
 * stored, so the padding of a long thin picture costs nothing.
 * @returns 8-bit RGB of the window, row by row: `windowHeight * windowWidth * 3`
 */
export async function resample(
  raster: ImageRaster,
  view: ViewPlacement,
  filter: ResampleFilter,
  background: readonly number[],
  signal?: AbortSignal,
): Promise<Uint8ClampedArray> {
  const columns = axisWeights(view.horizontal, filter);
  const rows = axisWeights(view.vertical, filter);
  const worked = slicer(signal);
  const rowBytes = view.horizontal.windowLength * 3;

  // Only the rows that the window's filter reaches.
  let firstRow = raster.height;
  let endRow = 0;
  for (let y = 0; y < rows.starts.length; y++) {
    if (rows.counts[y] === 0) continue;
    firstRow = Math.min(firstRow, rows.starts[y] as number);
    endRow = Math.max(endRow, (rows.starts[y] as number) + (rows.counts[y] as number));
  }
  const narrow = new Uint8ClampedArray(Math.max(0, endRow - firstRow) * rowBytes);
  for (let y = firstRow; y < endRow; y++) {
    resampleRow(raster.data, y * raster.width * 3, narrow, (y - firstRow) * rowBytes, columns, background);
    await worked(columns.weights.length * 3);
  }

  const output = new Uint8ClampedArray(view.vertical.windowLength * rowBytes);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < rows.starts.length; y++) {
    const outside = rows.background[y] as number;
    for (let i = 0; i < rowBytes; i++) sums[i] = half + outside * (background[i % 3] as number);
    const count = rows.counts[y] as number;
    for (let k = 0; k < count; k++) {
      const weight = rows.weights[(rows.offsets[y] as number) + k] as number;
      const row = ((rows.starts[y] as number) + k - firstRow) * rowBytes;
      for (let i = 0; i < rowBytes; i++) {
        sums[i] = (sums[i] as number) + (narrow[row + i] as number) * weight;
      }
    }
    for (let i = 0; i < rowBytes; i++) output[y * rowBytes + i] = (sums[i] as number) >> weightBits;
    await worked(count * rowBytes);
  }
  return output;
}
