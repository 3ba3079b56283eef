import { readFileSync } from 'node:fs';
import type { Preprocessing } from '@tessera/bundle';
import { demoBundle, openGoldens } from '@tessera/compiler/testing/demo-model';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { demoModelDir, samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, expect, test } from 'vitest';
import { native } from './image/native.js';
import { decodeMedia, encodePng, planTiles, preprocessTile } from './index.js';

const [bundle, reference] = await Promise.all([demoBundle(), openGoldens()]);
const preprocessing = bundle.manifest.preprocessing as Preprocessing;
afterAll(() => reference.close());

async function golden(name: string): Promise<Float32Tensor> {
  const shape = reference.tensors.get(name)?.shape ?? [];
  // The first axis is a batch of one.
  return tensor('float32', shape.length === 4 ? shape.slice(1) : shape, await reference.read(name));
}

const namesOf = (suffix: string) => [...reference.tensors.keys()].filter((name) => name.endsWith(suffix));

test.each(namesOf('.pixel_values'))('%s of the demo model’s sample is reproduced', async (name) => {
  const raster = await decodeMedia(samplePicture(name.split('.')[0] ?? ''));
  const plan = planTiles(raster, preprocessing);
  expect(plan.tiles).toHaveLength(1);
  const tile = plan.tiles[0];
  if (tile === undefined) throw new Error('no tile');
  const pixels = await preprocessTile(raster, tile, preprocessing);
  const expected = await golden(name);
  expect(pixels.shape).toEqual(expected.shape);
  const errors = expected.data.map((value, i) => Math.abs(value - (pixels.data[i] ?? Number.NaN)));
  expect(errors.reduce((worst, error) => Math.max(worst, error))).toBeLessThan(1e-6);
});

test.each(namesOf('.image'))('%s is encoded to the very pixels of its PNG', async (name) => {
  const png = await encodePng(await golden(name));
  const reference = readFileSync(`${demoModelDir}/goldens/${name.replace(/\.image$/, '')}.png`);
  const pixels = (bytes: Uint8Array) => native(bytes).raw().toBuffer({ resolveWithObject: true });
  const [made, wanted] = [await pixels(png), await pixels(reference)];
  expect(made.info).toMatchObject({ width: wanted.info.width, height: wanted.info.height, channels: 3 });
  expect(made.data.equals(wanted.data)).toBe(true);
});

test('there are goldens of both kinds', () => {
  expect(namesOf('.pixel_values').length).toBeGreaterThan(0);
  expect(namesOf('.image').length).toBeGreaterThan(0);
});
