import { expect, test } from 'vitest';
import { Sampler } from './sampler.js';
import type { SamplingOptions } from './sampling-options.js';
import { topTokens } from './top-tokens.js';

const greedy: SamplingOptions = { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1, seed: 1n };
const rows = Float32Array.from({ length: 500 }, (_, id) => Math.sin(id * 12.9898) * 4);

function counts(logits: Float32Array, options: Partial<SamplingOptions>, draws = 20_000): Map<number, number> {
  const sampler = new Sampler({ ...greedy, temperature: 1, ...options });
  const found = new Map<number, number>();
  for (let position = 0; position < draws; position++) {
    const id = sampler.sample(logits, position);
    found.set(id, (found.get(id) ?? 0) + 1);
  }
  return found;
}

test('greedy takes the largest logit, the first among equals', () => {
  expect(new Sampler(greedy).sample(Float32Array.of(1, 3, 3, 2), 0)).toBe(1);
  expect(counts(rows, { topK: 1 }, 50).size).toBe(1);
  expect(counts(rows, { topP: 0 }, 50).size).toBe(1);
});

test('tokens come as often as the softmax says', () => {
  const logits = Float32Array.of(0, Math.log(2), Math.log(5));
  const found = counts(logits, {});
  expect((found.get(0) ?? 0) / 20_000).toBeCloseTo(1 / 8, 1);
  expect((found.get(1) ?? 0) / 20_000).toBeCloseTo(2 / 8, 1);
  expect((found.get(2) ?? 0) / 20_000).toBeCloseTo(5 / 8, 1);
  // Temperature 1/2 squares the odds.
  const sharp = counts(logits, { temperature: 0.5 });
  expect((sharp.get(2) ?? 0) / 20_000).toBeCloseTo(25 / 30, 1);
});

test('only the differences of logits count, however far from zero they are', () => {
  for (const offset of [-5000, 5000]) {
    const found = counts(Float32Array.of(offset, offset + Math.log(3)), {});
    expect((found.get(1) ?? 0) / 20_000).toBeCloseTo(3 / 4, 1);
  }
});

test('top-k and top-p keep what their definitions keep', () => {
  const sorted = [...rows.keys()].sort((a, b) => (rows[b] as number) - (rows[a] as number));
  const weights = sorted.map((id) => Math.exp(rows[id] as number));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const topP of [0.05, 0.3, 0.9]) {
    let sum = 0;
    let size = 0;
    while (sum < topP * total) sum += weights[size++] as number;
    const kept = new Set(sorted.slice(0, size));
    const found = counts(rows, { topP });
    for (const id of found.keys()) expect(kept.has(id)).toBe(true);
    expect(found.has(sorted[size - 1] as number)).toBe(true);
  }
  expect(new Set(counts(rows, { topK: 3 }).keys())).toEqual(new Set(sorted.slice(0, 3)));
  // Top-p works on what top-k left: of three nearly equal ones, half needs two.
  expect(counts(Float32Array.of(1, 1.01, 1.02, -1, -1), { topK: 3, topP: 0.5 }).size).toBe(2);
});

test('a choice depends on seed and position alone', () => {
  const choose = (seed: bigint, position: number) =>
    new Sampler({ ...greedy, temperature: 2, seed }).sample(rows, position);
  const first = Array.from({ length: 40 }, (_, position) => choose(5n, position));
  const backwards = Array.from({ length: 40 }, (_, n) => choose(5n, 39 - n)).reverse();
  expect(backwards).toEqual(first);
  expect(Array.from({ length: 40 }, (_, position) => choose(6n, position))).not.toEqual(first);
});

// Reference: RepetitionPenaltyLogitsProcessor and greedy search of transformers (its JavaScript version, 3.7.1), over the
// same row of logits at each step, after a prompt of the tokens 3 and 7.
test.each([
  [1, [4, 4, 4, 4, 4, 4, 4, 4]],
  [1.3, [4, 5, 4, 4, 4, 4, 4, 4]],
  [2, [4, 5, 2, 6, 4, 4, 4, 4]],
  [0.8, [3, 3, 3, 3, 3, 3, 3, 3]],
])(
  'a repetition penalty of %f makes what was seen less likely, as the reference does',
  (repetitionPenalty, expected) => {
    const sampler = new Sampler({ ...greedy, repetitionPenalty });
    sampler.see([3, 7]);
    const logits = rows.slice(0, 12);
    expect(expected.map((_, position) => sampler.sample(logits, position))).toEqual(expected);
    expect(logits).toEqual(rows.slice(0, 12));
  },
);

test('the odds of penalised tokens are those of the reference', () => {
  // The same processor, a penalty of 1.3, after the tokens 3 1 3 2 4: a token seen twice is penalised once.
  const logits = Float32Array.of(2.5, -1.25, 0, 3.75, -0.5, 3.5, 1);
  const reference = [2.5, -1.625, 0, 2.884615421295166, -0.6499999761581421, 3.5, 1];
  const weights = reference.map((logit) => Math.exp(logit));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const found = new Array<number>(7).fill(0);
  const draws = 20_000;
  for (let position = 0; position < draws; position++) {
    const sampler = new Sampler({ ...greedy, temperature: 1, repetitionPenalty: 1.3 });
    sampler.see([3, 1, 3, 2, 4]);
    const id = sampler.sample(logits, position);
    found[id] = (found[id] as number) + 1;
  }
  for (const [id, weight] of weights.entries()) {
    expect(Math.abs((found[id] as number) / draws - weight / total)).toBeLessThan(0.015);
  }
});

test('logits that are not numbers are a fault, not a token', () => {
  const broken = () => new Sampler(greedy).sample(Float32Array.of(Number.NaN, Number.NaN), 0);
  expect(broken).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
});

test('the top tokens are those of a sort, equal ones by id', () => {
  const values = Float32Array.from({ length: 300 }, (_, n) => Math.floor(Math.sin(n * 78.233) * 20));
  const ids = [...values.keys()];
  const sorted = [...ids].sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
  for (const count of [0, 1, 7, 299, 300]) expect(topTokens(values, ids, count)).toEqual(sorted.slice(0, count));
});
