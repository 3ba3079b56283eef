import { readFileSync } from 'node:fs';
import type { Preprocessing, ResampleFilter } from '@tessera/bundle';
import { expect, test } from 'vitest';
import type { ImageRaster } from '../media-info.js';
import type { PlannedTile } from '../plan-tiles.js';
import { placeView } from './place-view.js';
import { resample } from './resample.js';

interface Vector {
  readonly source: readonly [number, number];
  readonly size: readonly [number, number];
  readonly resample: ResampleFilter;
  readonly fit: Preprocessing['fit'];
  readonly grid: readonly [number, number];
  readonly cell: readonly [number, number];
  readonly rgb: string;
}

const fixture = new URL('../../fixtures/resample-vectors.json', import.meta.url);
const { background, vectors } = JSON.parse(readFileSync(fixture, 'utf8')) as {
  background: number[];
  vectors: Vector[];
};

/** The picture that fixtures/make-resample-vectors.py gave to Pillow. */
function picture(width: number, height: number): ImageRaster {
  let state = 1;
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return ((Math.floor(i / 3) % width) * 2 + (i % 3) * 40 + ((state >> 16) & 127)) & 255;
  });
  return { kind: 'image', width, height, data };
}

function preprocessingOf({ size, resample: filter, fit }: Vector): Preprocessing {
  return {
    background,
    size: { width: size[0], height: size[1] },
    resample: filter,
    fit,
    rescaleFactor: 1 / 255,
    mean: [0, 0, 0],
    std: [1, 1, 1],
    highResolution: { mode: 'resize', tileSize: size[0], maxTiles: 1, thumbnail: false },
  };
}

test.each(vectors)('$fit $source to $cell of $grid x $size with $resample is what Pillow makes', async (vector) => {
  const raster = picture(...vector.source);
  const [columns, rows] = vector.grid;
  const tile: PlannedTile = { index: 0, marker: 'none', columns, rows, column: vector.cell[0], row: vector.cell[1] };
  const view = placeView(raster, tile, preprocessingOf(vector));
  const pixels = await resample(raster, view, vector.resample, background);
  expect(Buffer.from(pixels)).toEqual(Buffer.from(vector.rgb, 'base64'));
});

test('a picture of one row, padded to a square of 4 gigapixels, takes no more memory than its own pixels', async () => {
  const raster = picture(65_535, 1);
  const vector: Vector = { ...(vectors[0] as Vector), resample: 'bilinear', fit: 'pad', size: [24, 24] };
  const tile: PlannedTile = { index: 0, marker: 'none', columns: 1, rows: 1, column: 0, row: 0 };
  const pixels = await resample(raster, placeView(raster, tile, preprocessingOf(vector)), 'bilinear', background);
  // One row of 2730 shows in no output pixel: all is background but for at most a rounding step.
  expect(pixels).toHaveLength(24 * 24 * 3);
  for (let i = 0; i < pixels.length; i++) {
    expect(Math.abs((pixels[i] as number) - (background[i % 3] as number))).toBeLessThanOrEqual(1);
  }
});

test.each([
  ['columns', [3000, 2000], [24, 24]],
  ['rows', [4, 4], [2000, 2000]],
] as const)(
  'stops between slices of the %s when the request is cancelled, and has let the event loop run before',
  async (_, [width, height], size) => {
    const raster = picture(width, height);
    const abort = new AbortController();
    const tile: PlannedTile = { index: 0, marker: 'none', columns: 1, rows: 1, column: 0, row: 0 };
    const view = placeView(raster, tile, preprocessingOf({ ...(vectors[0] as Vector), fit: 'stretch', size }));
    setImmediate(() => abort.abort());
    const outcome = await resample(raster, view, 'bilinear', background, abort.signal).then(
      () => 'made',
      (reason) => reason.code,
    );
    expect(outcome).toBe('CANCELLED');
  },
);
