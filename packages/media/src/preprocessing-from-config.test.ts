import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { preprocessingFromConfig } from './preprocessing-from-config.js';

const demo = JSON.parse(
  readFileSync(new URL('../../../models/demo/preprocessor_config.json', import.meta.url), 'utf8'),
) as Record<string, unknown>;

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

test('reads CLIP’s file: the shorter side and a centre crop', () => {
  const clip = {
    crop_size: { height: 224, width: 224 },
    do_center_crop: true,
    do_convert_rgb: true,
    do_normalize: true,
    do_rescale: true,
    do_resize: true,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_processor_type: 'CLIPImageProcessor',
    image_std: [0.26862954, 0.26130258, 0.27577711],
    resample: 3,
    rescale_factor: 0.00392156862745098,
    size: { shortest_edge: 224 },
  };
  expect(preprocessingFromConfig(clip)).toMatchObject({
    size: { height: 224, width: 224 },
    resample: 'bicubic',
    fit: 'crop',
    mean: clip.image_mean,
    std: clip.image_std,
    highResolution: { mode: 'resize' },
  });
});

test('reads a size that is a number, and steps that are switched off', () => {
  const config = { size: 384, do_rescale: false, do_normalize: false };
  expect(preprocessingFromConfig(config)).toMatchObject({
    size: { height: 384, width: 384 },
    fit: 'stretch',
    rescaleFactor: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1],
  });
});

test.each([
  ['size', { ...demo, size: undefined }],
  ['size', { ...demo, size: { height: -1, width: 96 } }],
  ['resample', { ...demo, resample: 9 }],
  ['image_mean', { ...demo, image_mean: [0.5] }],
  ['image_mean and image_std', { ...demo, image_std: undefined }],
  ['std', { ...demo, image_std: [0, 1, 1] }],
  ['fit', { ...demo, fit: 'squeeze' }],
  ['do_resize', { ...demo, do_resize: false }],
  ['background', { ...demo, background_color: [256, 0, 0] }],
  ['high_resolution.mode', { ...demo, high_resolution: { mode: 'zoom' } }],
  ['highResolution.tileSize', { ...demo, high_resolution: { mode: 'tile', tile_size: 64, max_tiles: 4 } }],
  ['the file', 'no object'],
])('an error names the field that is wrong: %s', (field, config) => {
  expect(() => preprocessingFromConfig(config)).toThrow(
    expect.objectContaining({ code: 'CHECKPOINT_INVALID', message: expect.stringContaining(field) }),
  );
});
