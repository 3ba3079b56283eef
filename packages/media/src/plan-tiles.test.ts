import type { Preprocessing } from '@tessera/bundle';
import { expect, test } from 'vitest';
import { planTiles } from './plan-tiles.js';

function tiling(highResolution: Partial<Preprocessing['highResolution']> = {}): Preprocessing {
  return {
    background: [255, 255, 255],
    size: { height: 448, width: 448 },
    resample: 'bicubic',
    fit: 'stretch',
    rescaleFactor: 1 / 255,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
    highResolution: { mode: 'tile', tileSize: 448, maxTiles: 12, thumbnail: true, ...highResolution },
  };
}

test('mode resize is one view without a marker, whatever the size', () => {
  for (const size of [
    { width: 1, height: 1 },
    { width: 8000, height: 400 },
  ]) {
    expect(planTiles(size, tiling({ mode: 'resize' }))).toEqual({
      columns: 1,
      rows: 1,
      tiles: [{ index: 0, marker: 'none', columns: 1, rows: 1, column: 0, row: 0 }],
    });
  }
});

// [width, height, maxTiles] to [columns, rows]: what transformers' get_optimal_tiled_canvas gives for 448-pixel tiles.
test.each([
  [448, 448, 12, 1, 1],
  [100, 100, 12, 1, 1],
  [633, 633, 12, 1, 1], // 400689 pixels: not more than half of 2x2 tiles
  [634, 634, 12, 2, 2], // 401956: more than half of 401408
  [1000, 1000, 12, 3, 3], // more than half of 3x3 = 903168
  [800, 600, 12, 4, 3], // exactly 4:3
  [1920, 1080, 12, 4, 2], // of 2:1 and 5:3 = 1.67 (15 cells), only 2:1 fits in 12
  [600, 800, 12, 3, 4],
  [2000, 500, 12, 4, 1],
  [500, 2000, 12, 1, 4],
  [10_000, 100, 12, 12, 1],
  [100, 10_000, 12, 1, 12],
  [448, 448, 1, 1, 1],
  [4000, 448, 1, 1, 1],
  [4000, 3000, 4, 2, 2], // 1.33 is nearest to 1:1, and the picture is large enough for 2x2
  [1344, 896, 6, 3, 2],
])('%i x %i in at most %i tiles is a grid of %i x %i', (width, height, maxTiles, columns, rows) => {
  expect(planTiles({ width, height }, tiling({ maxTiles }))).toMatchObject({ columns, rows });
});

test('an aspect ratio midway between two grids of as many cells goes to the wider one when the picture is large', () => {
  // 1.25 is as far from 1:2 as from 2:1, but nearer to 1:1; 5:4 needs 20 cells.
  expect(planTiles({ width: 1250, height: 1000 }, tiling({ maxTiles: 3 }))).toMatchObject({ columns: 1, rows: 1 });
  // 1.5 is as far from 1:1 as from 2:1: the later one, if more than half of its pixels are there.
  expect(planTiles({ width: 600, height: 400 }, tiling({ maxTiles: 2 }))).toMatchObject({ columns: 2, rows: 1 });
  expect(planTiles({ width: 300, height: 200 }, tiling({ maxTiles: 2 }))).toMatchObject({ columns: 1, rows: 1 });
});

test('the thumbnail comes first, then the parts row by row', () => {
  const { tiles } = planTiles({ width: 1344, height: 896 }, tiling({ maxTiles: 6 }));
  expect(tiles.map(({ index, marker, column, row }) => [index, marker, column, row])).toEqual([
    [0, 'thumbnail', 0, 0],
    [1, 'tile', 0, 0],
    [2, 'tile', 1, 0],
    [3, 'tile', 2, 0],
    [4, 'tile', 0, 1],
    [5, 'tile', 1, 1],
    [6, 'tile', 2, 1],
  ]);
  expect(tiles[0]).toMatchObject({ columns: 1, rows: 1 });
  expect(tiles[1]).toMatchObject({ columns: 3, rows: 2 });
});

test('without a thumbnail there are the parts alone; a 1x1 grid never has one', () => {
  const parts = planTiles({ width: 896, height: 448 }, tiling({ thumbnail: false, maxTiles: 2 })).tiles;
  expect(parts.map(({ marker }) => marker)).toEqual(['tile', 'tile']);
  const single = planTiles({ width: 448, height: 448 }, tiling()).tiles;
  expect(single.map(({ marker }) => marker)).toEqual(['none']);
});
