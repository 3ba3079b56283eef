import type { ResampleFilter } from '@tessera/bundle';
import { kernels } from './kernels.js';
import type { AxisPlacement } from './place-view.js';

/** Weights are integers of this many fraction bits, as in Pillow: 8 bits of pixel and a few of overshoot still fit 32. */
export const weightBits = 22;

/** For each output pixel of a window, which input pixels it is made of and by how much. */
export interface AxisWeights {
  /** First input pixel, counted in the picture (not on the canvas). */
  readonly starts: Int32Array;
  /** How many input pixels; 0 where the output pixel lies wholly on the background. */
  readonly counts: Int32Array;
  /** Where each output pixel's weights begin in `weights`. */
  readonly offsets: Int32Array;
  readonly weights: Int32Array;
  /** The weight of the canvas beyond the picture, all together. */
  readonly background: Int32Array;
}

/** Rounds half away from zero, as Pillow's cast after adding 0.5 does. */
function fixedPoint(weight: number): number {
  return Math.trunc(weight * (1 << weightBits) + (weight < 0 ? -0.5 : 0.5));
}

/** The canvas pixels and normalised weights of one output pixel: Pillow's precompute_coeffs. */
function tapsOf(output: number, axis: AxisPlacement, filter: ResampleFilter): { first: number; taps: number[] } {
  const scale = axis.canvas / axis.target;
  const center = (output + 0.5) * scale;
  if (filter === 'nearest') return { first: Math.min(axis.canvas - 1, Math.floor(center)), taps: [1] };
  const { support, weight } = kernels[filter];
  // Made smaller, a picture is averaged over the wider filter (antialiasing); made larger, it is interpolated.
  const stretch = Math.max(scale, 1);
  const first = Math.max(0, Math.trunc(center - support * stretch + 0.5));
  const end = Math.min(axis.canvas, Math.trunc(center + support * stretch + 0.5));
  // A product, not a quotient: it rounds as Pillow's does.
  const shrink = 1 / stretch;
  const taps = Array.from({ length: end - first }, (_, i) => weight((i + first - center + 0.5) * shrink));
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return { first, taps: sum === 0 ? taps : taps.map((tap) => tap / sum) };
}

/** The weights of one axis of a view. Memory grows with the picture's length along the axis, not with the canvas. */
export function axisWeights(axis: AxisPlacement, filter: ResampleFilter): AxisWeights {
  const length = axis.windowLength;
  const starts = new Int32Array(length);
  const counts = new Int32Array(length);
  const offsets = new Int32Array(length);
  const background = new Int32Array(length);
  const weights: number[] = [];
  for (let i = 0; i < length; i++) {
    const { first, taps } = tapsOf(axis.windowStart + i, axis, filter);
    offsets[i] = weights.length;
    let start = 0;
    let outside = 0;
    for (let k = 0; k < taps.length; k++) {
      const weight = fixedPoint(taps[k] as number);
      const position = first + k - axis.offset;
      if (position < 0 || position >= axis.picture) outside += weight;
      else {
        if (weights.length === offsets[i]) start = position;
        weights.push(weight);
      }
    }
    starts[i] = start;
    counts[i] = weights.length - (offsets[i] as number);
    background[i] = outside;
  }
  return { starts, counts, offsets, weights: Int32Array.from(weights), background };
}
