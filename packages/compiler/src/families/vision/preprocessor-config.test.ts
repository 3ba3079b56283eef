import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { expect, test } from 'vitest';
import { compileCheckpoint } from '../../compile-checkpoint.js';
import { preprocessingFromConfig } from './preprocessor-config.js';

const demo = JSON.parse(readFileSync(`${demoModelDir}/preprocessor_config.json`, 'utf8')) as Record<string, unknown>;

test('reads the demo model’s file', () => {
  expect(preprocessingFromConfig(demo)).toEqual({
    background: [255, 255, 255],
    size: { height: 96, width: 96 },
    resample: 'bilinear',
    fit: 'pad',
    rescaleFactor: 0.00392156862745098,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
    highResolution: { mode: 'resize', tileSize: 96, maxTiles: 4, thumbnail: true },
  });
});

const clip = {
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
  do_center_crop: true,
  do_normalize: true,
  do_resize: true,
  resample: 3,
};

test.each([
  [
    'numbers',
    {
      ...clip,
      crop_size: 224,
      feature_extractor_type: 'CLIPFeatureExtractor',
      size: 224,
    },
  ],
  [
    'named sides',
    {
      ...clip,
      crop_size: { height: 224, width: 224 },
      do_convert_rgb: true,
      do_pad: null,
      do_rescale: true,
      image_processor_type: 'CLIPImageProcessor',
      processor_class: 'CLIPProcessor',
      rescale_factor: 0.00392156862745098,
      size: { shortest_edge: 224 },
    },
  ],
])('reads CLIP’s file, its sizes as %s: the shorter side and a centre crop', (_, config) => {
  expect(preprocessingFromConfig(config)).toEqual({
    background: [255, 255, 255],
    size: { height: 224, width: 224 },
    resample: 'bicubic',
    fit: 'crop',
    rescaleFactor: 1 / 255,
    mean: clip.image_mean,
    std: clip.image_std,
    highResolution: { mode: 'resize', tileSize: 224, maxTiles: 1, thumbnail: false },
  });
});

test('a number without a crop is both sides, and steps may be switched off', () => {
  const config = { size: 384, do_rescale: false, do_normalize: false };
  expect(preprocessingFromConfig(config)).toMatchObject({
    size: { height: 384, width: 384 },
    fit: 'stretch',
    rescaleFactor: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1],
  });
});

test('both sides are stretched to, and a crop of that size cuts nothing off; fit says otherwise', () => {
  const both = { ...demo, fit: null, do_center_crop: true, crop_size: 96 };
  expect(preprocessingFromConfig(both).fit).toBe('stretch');
  expect(preprocessingFromConfig({ ...both, fit: 'crop' }).fit).toBe('crop');
});

test.each([
  ['size', { ...demo, size: undefined }],
  ['size.height', { ...demo, size: { height: -1, width: 96 } }],
  ['size.height', { ...demo, size: { height: 9000, width: 96 } }],
  ['size', { ...clip, size: { shortest_edge: 224, longest_edge: 448 }, crop_size: 224 }],
  ['size', { ...clip, size: { shortest_edge: 224 }, do_center_crop: false }],
  ['size', { ...clip, size: 224, do_center_crop: false, default_to_square: false }],
  ['crop_size', { ...clip, size: { shortest_edge: 256 }, crop_size: 224 }],
  ['crop_size', { ...clip, size: 224, crop_size: { height: 224, width: 112 } }],
  ['crop_size', { ...clip, size: 224 }],
  ['resample', { ...demo, resample: 9 }],
  ['image_mean', { ...demo, image_mean: [0.5] }],
  ['image_std', { ...demo, image_std: undefined }],
  ['image_std.0', { ...demo, image_std: [0, 1, 1] }],
  ['fit', { ...demo, fit: 'squeeze' }],
  ['do_resize', { ...demo, do_resize: false }],
  ['do_pad', { ...demo, do_pad: true }],
  ['min_pixels', { ...demo, min_pixels: 3136 }],
  ['data_format', { ...demo, data_format: 'channels_last' }],
  ['background_color.0', { ...demo, background_color: [256, 0, 0] }],
  ['high_resolution.mode', { ...demo, high_resolution: { mode: 'zoom' } }],
  [
    'highResolution.tileSize',
    { ...demo, high_resolution: { mode: 'tile', tile_size: 64, max_tiles: 4, thumbnail: true } },
  ],
])('an error names the field that is wrong or not supported: %s', (field, config) => {
  expect(() => preprocessingFromConfig(config)).toThrow(
    expect.objectContaining({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining(`preprocessor_config.json.${field}: `),
    }),
  );
});

test.each([
  ['both sides are named', { ...demo, default_to_square: true }, 'pad'],
  ['a number is both sides', { ...clip, size: 224, do_center_crop: false, default_to_square: true }, 'stretch'],
  [
    'a number is both sides, whatever is cut',
    { ...clip, size: 224, crop_size: 224, default_to_square: true },
    'stretch',
  ],
  ['a number is the shorter side', { ...clip, size: 224, crop_size: 224, default_to_square: false }, 'crop'],
])('default_to_square says what a number is: %s', (_why, config, fit) => {
  expect(preprocessingFromConfig(config).fit).toBe(fit);
});

test('what is no object is refused', () => {
  expect(() => preprocessingFromConfig('no object')).toThrow(expect.objectContaining({ code: 'CHECKPOINT_INVALID' }));
});

test('a size that is not the encoder’s is refused before anything is compiled', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tessera-preprocessor-'));
  try {
    for (const name of ['config.json', 'tokenizer.json']) await copyFile(join(demoModelDir, name), join(dir, name));
    await writeFile(join(dir, 'preprocessor_config.json'), JSON.stringify({ ...demo, size: 64 }));
    await expect(compileCheckpoint(dir, join(dir, 'out'), { weights: 'float32' })).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: 'preprocessor_config.json.size: gives 64x64; the encoder takes 96x96',
    });
  } finally {
    await rm(dir, { recursive: true });
  }
});
