import { readFileSync } from 'node:fs';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { expect, test } from 'vitest';
import { pixart } from './pixart.js';

const config = JSON.parse(readFileSync(`${demoModelDir}/config.json`, 'utf8')).generator_config as Record<
  string,
  unknown
>;
const scheduler = config.scheduler as Record<string, unknown>;

test('takes what diffusers writes beside it, at the values that are built', () => {
  const network = {
    _class_name: 'PixArtTransformer2DModel',
    _diffusers_version: '0.30.0',
    attention_bias: true,
    attention_type: 'default',
    dropout: 0.0,
    norm_elementwise_affine: false,
    norm_num_groups: 32,
    num_embeds_ada_norm: 1000,
    only_cross_attention: false,
    upcast_attention: false,
    use_additional_conditions: null,
  };
  const schedule = {
    base_image_seq_len: 256,
    base_shift: 0.5,
    invert_sigmas: false,
    max_image_seq_len: 4096,
    max_shift: 1.15,
    shift_terminal: null,
    use_beta_sigmas: false,
    use_dynamic_shifting: false,
    use_exponential_sigmas: false,
    use_karras_sigmas: false,
  };
  const all = { ...config, ...network, scheduler: { ...scheduler, ...schedule } };
  expect(pixart(all, 'config').section).toEqual(pixart(config, 'config').section);
});

test.each([
  ['v_prediction', 'velocity'],
  ['velocity', 'velocity'],
  ['epsilon', 'epsilon'],
  ['sample', 'sample'],
])('prediction_type %s is %s in the manifest', (prediction_type, expected) => {
  expect(pixart({ ...config, prediction_type }, 'config').section.predictionType).toBe(expected);
});

test.each([
  ['in_channels', { in_channels: 4 }],
  ['out_channels', { out_channels: 6 }],
  ['sample_size', { sample_size: 100 }],
  ['cross_attention_dim', { cross_attention_dim: 128 }],
  ['attention_bias', { attention_bias: false }],
  ['attention_type', { attention_type: 'gated' }],
  ['activation_fn', { activation_fn: 'geglu' }],
  ['norm_type', { norm_type: 'ada_norm_zero' }],
  ['norm_eps', { norm_eps: 1e-5 }],
  ['norm_elementwise_affine', { norm_elementwise_affine: true }],
  ['only_cross_attention', { only_cross_attention: true }],
  ['use_additional_conditions', { use_additional_conditions: true }],
  ['use_additional_conditions', { sample_size: 128 }],
  ['prediction_type', { prediction_type: 'x0' }],
  ['vae', { vae: {} }],
  ['scheduler._class_name', { scheduler: { ...scheduler, _class_name: 'DDIMScheduler' } }],
  ['scheduler.use_dynamic_shifting', { scheduler: { ...scheduler, use_dynamic_shifting: true } }],
  ['scheduler.use_karras_sigmas', { scheduler: { ...scheduler, use_karras_sigmas: true } }],
  ['scheduler.invert_sigmas', { scheduler: { ...scheduler, invert_sigmas: true } }],
  ['scheduler.shift_terminal', { scheduler: { ...scheduler, shift_terminal: 0.1 } }],
])('a config that asks for what is not built is refused by the field: %s', (field, changes) => {
  expect(() => pixart({ ...config, ...changes }, 'config')).toThrow(`config.${field}: `);
});
