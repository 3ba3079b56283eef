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

test('positions that a factor makes in part are none', () => {
  const yarn = { type: 'yarn', factor: 1.3, original_max_position_embeddings: 33 };
  expect(angles({ max_position_embeddings: 16, rope_scaling: yarn }).positions).toBe(42);
});

// With this base each pair turns half as fast as the one before it.
const theta = 2 ** 8;
const pairs = Array.from({ length: 8 }, (_, i) => i);
/** How often a pair turns within the original context; between two pairs, too. */
const turnsOf = (pair: number, context: number): number => context / (2 * Math.PI * 2 ** pair);

function expectClose(frequencies: readonly number[], expected: readonly number[]): void {
  expect(frequencies).toHaveLength(expected.length);
  for (const [i, frequency] of frequencies.entries()) expect(frequency / (expected[i] as number)).toBeCloseTo(1, 10);
}

describe('YaRN', () => {
  const context = 64;
  const frequencies = (fast: number, slow: number, changes: object = {}): readonly number[] => {
    const betas = { beta_fast: turnsOf(fast, context), beta_slow: turnsOf(slow, context) };
    const yarn = { type: 'yarn', factor: 4, original_max_position_embeddings: context, ...betas, ...changes };
    return angles({ rope_theta: theta, rope_scaling: yarn }).frequencies;
  };
  /** A part of each frequency is divided by the factor, the rest of it stays. */
  const stretched = (part: (pair: number) => number): number[] =>
    pairs.map((pair) => 2 ** -pair * (part(pair) / 4 + 1 - part(pair)));
  const ramp = (from: number, to: number) => (pair: number) => Math.min(1, Math.max(0, (pair - from) / (to - from)));

  test('pairs that turn often stay, slow ones are stretched, those between in part, from whole pair to whole pair', () => {
    expectClose(frequencies(2.5, 5.5), stretched(ramp(2, 6)));
    expectClose(frequencies(2.5, 5.5, { truncate: true }), stretched(ramp(2, 6)));
  });

  test('without truncation, from where the limits are', () => {
    expectClose(frequencies(2.5, 5.5, { truncate: false }), stretched(ramp(2.5, 5.5)));
  });

  test('limits beyond the pairs are those of the first pair, and of the last number of a head', () => {
    expectClose(frequencies(-3, 5.5), stretched(ramp(0, 6)));
    expectClose(frequencies(2.5, 40), stretched(ramp(2, 15)));
  });

  test('where both limits fall on one pair, all behind it are stretched', () => {
    expectClose(
      frequencies(-3, -0.5),
      stretched((pair) => (pair === 0 ? 0 : 1)),
    );
  });

  test('sines and cosines are multiplied by what is given, or by what comes of the factor', () => {
    const scaleOf = (changes: object): number =>
      angles({ rope_scaling: { type: 'yarn', factor: 4, ...changes } }).scale;
    const grown = (weight: number): number => 0.1 * weight * Math.log(4) + 1;
    expect(scaleOf({})).toBeCloseTo(grown(1), 12);
    expect(scaleOf({ factor: 1 })).toBe(1);
    expect(scaleOf({ attention_factor: 1.5, mscale: 2, mscale_all_dim: 3 })).toBe(1.5);
    expect(scaleOf({ mscale: 2, mscale_all_dim: 3 })).toBeCloseTo(grown(2) / grown(3), 12);
    expect(scaleOf({ mscale: 2 })).toBeCloseTo(grown(1), 12);
    expect(scaleOf({ mscale: 2, mscale_all_dim: 0 })).toBeCloseTo(grown(1), 12);
  });
});

test('LLaMA 3.1: waves that fit often into the context stay, long ones are stretched, those between in part', () => {
  const context = 64;
  const [low, high] = [turnsOf(4.5, context), turnsOf(1.5, context)];
  const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: low, high_freq_factor: high };
  const { frequencies, scale } = angles({
    rope_theta: theta,
    rope_scaling: { ...scaling, original_max_position_embeddings: context },
  });
  expect(scale).toBe(1);
  const expected = pairs.map((pair) => {
    // Of waves, which are as many times as long: published code takes the part of turns, not of pairs.
    const smooth = Math.min(1, Math.max(0, (turnsOf(pair, context) - low) / (high - low)));
    return 2 ** -pair * ((1 - smooth) / 8 + smooth);
  });
  expectClose(frequencies, expected);
  expectClose(frequencies.slice(0, 2), [1, 0.5]);
  expectClose(frequencies.slice(5), [2 ** -5 / 8, 2 ** -6 / 8, 2 ** -7 / 8]);
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
