import type { Preprocessing } from '@tessera/bundle';
import { expect, test } from 'vitest';
import type { ImageRaster } from '../media-info.js';
import { planTiles } from '../plan-tiles.js';
import { preprocessImageTile } from './preprocess-image.js';

const preprocessing: Preprocessing = {
  background: [255, 0, 0],
  size: { height: 2, width: 2 },
  resample: 'bilinear',
  fit: 'stretch',
  rescaleFactor: 1 / 255,
  mean: [0, 0.5, 1],
  std: [1, 0.5, 2],
  highResolution: { mode: 'tile', tileSize: 2, maxTiles: 2, thumbnail: true },
};

/** Four columns and two rows; R counts the pixels, G and B are constant. */
const raster: ImageRaster = {
  kind: 'image',
  width: 4,
  height: 2,
  data: Uint8Array.from({ length: 24 }, (_, i) => (i % 3 === 0 ? i / 3 : i % 3 === 1 ? 255 : 51)),
};

test('parts are cut from the grid, in planes, each channel with its own mean and deviation', async () => {
  const { tiles } = planTiles(raster, preprocessing);
  expect(tiles.map(({ marker }) => marker)).toEqual(['thumbnail', 'tile', 'tile']);
  const [, left, right] = await Promise.all(tiles.map((tile) => preprocessImageTile(raster, tile, preprocessing)));
  expect(left?.shape).toEqual([3, 2, 2]);
  const red = (values: number[]) => values.map((value) => Math.fround(value / 255));
  const green = Array(4).fill(1);
  const blue = Array(4).fill(Math.fround((51 / 255 - 1) / 2));
  expect([...(left?.data ?? [])]).toEqual([...red([0, 1, 4, 5]), ...green, ...blue]);
  expect([...(right?.data ?? [])]).toEqual([...red([2, 3, 6, 7]), ...green, ...blue]);
});

test('padding shows the background above and below a wide picture', async () => {
  const padded: Preprocessing = {
    ...preprocessing,
    size: { height: 4, width: 4 },
    fit: 'pad',
    highResolution: { ...preprocessing.highResolution, mode: 'resize' },
  };
  const [tile] = planTiles(raster, padded).tiles;
  if (tile === undefined) throw new Error('no tile');
  const { data } = await preprocessImageTile(raster, tile, padded);
  const red = (values: number[]) => values.map((value) => Math.fround(value / 255));
  expect([...data.subarray(0, 16)]).toEqual(red([255, 255, 255, 255, 0, 1, 2, 3, 4, 5, 6, 7, 255, 255, 255, 255]));
});
