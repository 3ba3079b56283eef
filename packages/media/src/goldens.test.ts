import { readFileSync } from 'node:fs';
import { type Float32Tensor, tensorFromBytes } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { native } from './image/native.js';
import { decodeMedia, encodePng, planTiles, preprocessingFromConfig, preprocessTile } from './index.js';

const demo = new URL('../../../models/demo/', import.meta.url);
const goldens = readFileSync(new URL('goldens/tensors.safetensors', demo));
const headerBytes = Number(goldens.readBigUInt64LE(0));
const header = JSON.parse(goldens.subarray(8, 8 + headerBytes).toString()) as Record<
  string,
  { shape: number[]; data_offsets: [number, number] }
>;
const preprocessing = preprocessingFromConfig(
  JSON.parse(readFileSync(new URL('preprocessor_config.json', demo), 'utf8')),
);

function golden(name: string): Float32Tensor {
  const entry = header[name];
  if (entry === undefined) throw new Error(`no golden ${name}`);
  const [start, end] = entry.data_offsets.map((offset) => 8 + headerBytes + offset);
  // The first axis is a batch of one.
  const shape = entry.shape.length === 4 ? entry.shape.slice(1) : entry.shape;
  return tensorFromBytes('float32', shape, Uint8Array.from(goldens.subarray(start, end)));
}

const namesOf = (suffix: string) => Object.keys(header).filter((name) => name.endsWith(suffix));

test.each(namesOf('.pixel_values'))('%s of the demo model’s sample is reproduced', async (name) => {
  const raster = await decodeMedia(readFileSync(new URL(`samples/${name.split('.')[0]}.png`, demo)));
  const plan = planTiles(raster, preprocessing);
  expect(plan.tiles).toHaveLength(1);
  const tile = plan.tiles[0];
  if (tile === undefined) throw new Error('no tile');
  const pixels = await preprocessTile(raster, tile, preprocessing);
  const expected = golden(name);
  expect(pixels.shape).toEqual(expected.shape);
  const errors = expected.data.map((value, i) => Math.abs(value - (pixels.data[i] ?? Number.NaN)));
  expect(errors.reduce((worst, error) => Math.max(worst, error))).toBeLessThan(1e-6);
});

test.each(namesOf('.image'))('%s is encoded to the very pixels of its PNG', async (name) => {
  const png = await encodePng(golden(name));
  const reference = readFileSync(new URL(`goldens/${name.replace(/\.image$/, '')}.png`, demo));
  const pixels = (bytes: Uint8Array) => native(bytes).raw().toBuffer({ resolveWithObject: true });
  const [made, wanted] = [await pixels(png), await pixels(reference)];
  expect(made.info).toMatchObject({ width: wanted.info.width, height: wanted.info.height, channels: 3 });
  expect(made.data.equals(wanted.data)).toBe(true);
});

test('there are goldens of both kinds', () => {
  expect(namesOf('.pixel_values').length).toBeGreaterThan(0);
  expect(namesOf('.image').length).toBeGreaterThan(0);
});
