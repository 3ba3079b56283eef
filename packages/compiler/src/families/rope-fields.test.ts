import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseConfig } from '../config.js';
import { oneRope, ropeFields } from './rope-fields.js';
import { rotaryAngles } from './rotary-angles.js';

const schema = z.object({ ...ropeFields, max_position_embeddings: z.number().default(64) }).superRefine(oneRope);
const angles = (config: object) => rotaryAngles(parseConfig(schema, config, 'config'), 16);

// The numbers themselves are held to transformers' in test/conformance.
describe('both forms of one config give the same angles', () => {
  const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 };
  const yarn = { factor: 4, original_max_position_embeddings: 32 };
  test.each([
    [{ rope_theta: 5000 }, { rope_theta: 5000 }],
    [{}, {}],
    [
      { rope_theta: 5000, rope_scaling: { type: 'linear', factor: 2 } },
      { rope_theta: 5000, rope_type: 'linear', factor: 2 },
    ],
    [{ rope_scaling: { rope_type: 'llama3', ...llama3 } }, { rope_type: 'llama3', ...llama3 }],
    [{ rope_scaling: { type: 'yarn', rope_type: 'yarn', ...yarn } }, { rope_type: 'yarn', rope_theta: 10000, ...yarn }],
    [
      { rope_theta: 7, rope_scaling: null },
      { rope_type: 'default', rope_theta: 7, partial_rotary_factor: 1 },
    ],
  ])('%o', (older, newer) => {
    expect(angles({ rope_parameters: newer })).toEqual(angles(older));
    expect(angles({ ...older, rope_parameters: null })).toEqual(angles(older));
  });
});

test('positions: as many as the config says; for YaRN as many as its factor makes of the original ones', () => {
  expect(angles({ rope_scaling: { type: 'linear', factor: 4 } }).positions).toBe(64);
  expect(angles({ rope_scaling: { type: 'dynamic', factor: 4 } }).positions).toBe(64);
  expect(angles({ rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 32 } }).positions).toBe(
    128,
  );
  expect(angles({ rope_scaling: { type: 'yarn', factor: 4 } }).positions).toBe(256);
  expect(angles({ rope_scaling: { type: 'yarn', factor: 1.5, original_max_position_embeddings: 32 } }).positions).toBe(
    64,
  );
});

test('dynamic is plain as far as it is served', () => {
  expect(angles({ rope_scaling: { type: 'dynamic', factor: 4 } })).toEqual(angles({}));
});

const yarnWith = (field: string, value: unknown) => ({ rope_scaling: { type: 'yarn', factor: 4, [field]: value } });

test.each([
  [
    { rope_scaling: { type: 'su', factor: 4 } },
    /config.rope_scaling.rope_type: is not supported; known are default, linear,/,
  ],
  [
    { rope_scaling: { type: 'linear', rope_type: 'mrope', factor: 2 } },
    /config.rope_scaling.rope_type: is not supported/,
  ],
  [{ rope_scaling: { type: 'linear' } }, /config.rope_scaling.factor/],
  [{ rope_scaling: { rope_type: 'llama3', factor: 8 } }, /config.rope_scaling.low_freq_factor.*original_max_position/],
  [
    { rope_scaling: { type: 'linear', factor: 2, mrope_section: [16] } },
    /rope_scaling.mrope_section: is not supported/,
  ],
  [yarnWith('long_factor', [1]), /rope_scaling.long_factor: is not supported/],
  [{ rope_parameters: { partial_rotary_factor: 0.5 } }, /rope_parameters.partial_rotary_factor: must be 1/],
  [{ rope_parameters: { full_attention: { rope_theta: 1 } } }, /rope_parameters.full_attention: is not supported/],
  [
    { rope_theta: 10000, rope_parameters: { rope_theta: 500000 } },
    /config.rope_theta: is 10000, but rope_parameters.rope_theta is 500000/,
  ],
  [
    { rope_scaling: { type: 'linear', factor: 2 }, rope_parameters: { rope_type: 'linear', factor: 2 } },
    /config.rope_scaling: is given, and rope_parameters, too/,
  ],
])('%o is refused by the name of its field', (config, message) => {
  expect(() => angles(config)).toThrow(message);
});
