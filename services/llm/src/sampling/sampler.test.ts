import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, test } from 'vitest';
import { referenceChoice, referenceDistribution } from '../testing/reference-choice.js';
import { chooseToken } from './choose-token.js';
import { LogitAdjustments } from './logit-adjustments.js';
import { Sampler } from './sampler.js';
import { greedySampling as greedy, type SamplingOptions } from './sampling-options.js';

const rows = Float32Array.from({ length: 500 }, (_, id) => Math.sin(id * 12.9898) * 4);

function counts(logits: Float32Array, options: Partial<SamplingOptions>, draws = 20_000): Map<number, number> {
  const sampler = new Sampler({ ...greedy, temperature: 1, ...options });
  const found = new Map<number, number>();
  for (let position = 0; position < draws; position++) {
    const { id } = sampler.sample(logits, position);
    found.set(id, (found.get(id) ?? 0) + 1);
  }
  return found;
}

test('greedy takes the largest logit, the first among equals', () => {
  expect(new Sampler(greedy).sample(Float32Array.of(1, 3, 3, 2), 0).id).toBe(1);
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

test('a choice depends on seed and position alone', () => {
  const choose = (seed: bigint, position: number) =>
    new Sampler({ ...greedy, temperature: 2, seed }).sample(rows, position).id;
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
    expect(expected.map((_, position) => sampler.sample(logits, position).id)).toEqual(expected);
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
    sampler.see([3, 1, 3]);
    sampler.resume([2, 4]);
    const { id } = sampler.sample(logits, position);
    found[id] = (found[id] as number) + 1;
  }
  for (const [id, weight] of weights.entries()) {
    expect(Math.abs((found[id] as number) / draws - weight / total)).toBeLessThan(0.015);
  }
});

/** The logits from which a token is chosen, and a look at whether the row is given back. */
function adjusted(logits: Float32Array, options: Partial<SamplingOptions>, prompt: number[], answer: number[]) {
  const adjustments = new LogitAdjustments({ ...greedy, ...options }, [0, 6]);
  adjustments.see(prompt);
  for (const id of answer) adjustments.write(id);
  const row = logits.slice();
  adjustments.apply(row, answer.length);
  const result = [...row];
  adjustments.undo(row);
  expect(row).toEqual(logits);
  return result;
}

// By hand from the definitions: `logit + bias`, transformers' repetition penalty, and OpenAI's
// `logit - count * frequency_penalty - (count > 0) * presence_penalty`, in that order. All are exact in float32.
test.each<[what: string, options: Partial<SamplingOptions>, expected: number[]]>([
  ['presence, once for each token of the answer', { presencePenalty: 0.5 }, [2.5, -1.75, 0, 3.25, -0.5, 3.5, 1]],
  ['frequency, each time', { frequencyPenalty: 0.5 }, [2.5, -1.75, 0, 2.75, -0.5, 3.5, 1]],
  ['a negative one makes likelier', { frequencyPenalty: -1 }, [2.5, -0.25, 0, 5.75, -0.5, 3.5, 1]],
  [
    'bias',
    {
      logitBias: [
        [0, -100],
        [4, 100],
      ],
    },
    [-97.5, -1.25, 0, 3.75, 99.5, 3.5, 1],
  ],
  [
    'bias, then repetition of prompt and answer, then the others on the answer',
    { logitBias: [[3, 0.25]], repetitionPenalty: 2, presencePenalty: 0.25, frequencyPenalty: 0.5 },
    [2.5, -2.5 - 0.75, 0, 4 / 2 - 1.25, -1, 3.5, 1],
  ],
  [
    'no end before its time',
    { minTokens: 4 },
    [Number.NEGATIVE_INFINITY, -1.25, 0, 3.75, -0.5, 3.5, Number.NEGATIVE_INFINITY],
  ],
  ['an end when it is time', { minTokens: 3 }, [2.5, -1.25, 0, 3.75, -0.5, 3.5, 1]],
])('%s', (_what, options, expected) => {
  const logits = Float32Array.of(2.5, -1.25, 0, 3.75, -0.5, 3.5, 1);
  expect(adjusted(logits, options, [2, 4], [3, 1, 3])).toEqual(expected);
});

test('however many tokens are changed, each by each option that is about it, the row is given back', () => {
  const ids = Array.from({ length: 1000 }, (_, id) => id);
  const logits = Float32Array.from(ids, (id) => (id % 9) + 1);
  const prompt = ids.filter((id) => id % 2 === 0);
  const answer = ids.filter((id) => id % 4 === 0);
  const changed = adjusted(logits, { repetitionPenalty: 2, presencePenalty: 0.5 }, prompt, answer);
  const own = (id: number): number => (id % 9) + 1;
  expect(changed).toEqual(ids.map((id) => (id % 4 === 0 ? own(id) / 2 - 0.5 : id % 2 === 0 ? own(id) / 2 : own(id))));
});

test('tokens that were given count as those that were chosen', () => {
  const options = { ...greedy, temperature: 3, repetitionPenalty: 1.1, presencePenalty: 0.5, frequencyPenalty: 1.5 };
  const logits = rows.slice(0, 12);
  const whole = new Sampler(options);
  whole.see([3, 7]);
  const answer = Array.from({ length: 30 }, (_, position) => whole.sample(logits, position).id);
  for (let given = 0; given < 30; given++) {
    const rest = new Sampler(options);
    rest.see([3, 7]);
    rest.resume(answer.slice(0, given));
    expect(rest.sample(logits, given).id).toBe(answer[given]);
  }
});

test('what is chosen is what the plain definitions choose, equal logits among them', () => {
  const random = seededRandom(1);
  const pick = <T>(...values: T[]): T => values[Math.floor(random() * values.length)] as T;
  for (let round = 0; round < 1500; round++) {
    const size = pick(1, 2, 7, 60, 400, 1500, 3000);
    const step = pick(0, 0, 0.5, 4);
    // Rounded ones are often equal.
    const logits = Float32Array.from({ length: size }, () => {
      const logit = (random() + random() + random() - 1.5) * pick(1, 12);
      return step === 0 ? logit : Math.round(logit / step) * step;
    });
    const options = {
      temperature: pick(0, 0.2, 0.7, 1, 5),
      topK: pick(0, 0, 1, 2, 40, 1000),
      topP: pick(0.01, 0.5, 0.95, 1, 1),
      minP: pick(0, 0, 0.05, 0.5, 1),
    };
    const distribution = referenceDistribution(logits, options);
    const uniform = random();
    const chosen = chooseToken(logits, options, () => uniform);
    expect(chosen, JSON.stringify({ round, options, logits: [...logits] })).toBe(
      referenceChoice(distribution, uniform),
    );
  }
});

test.each([
  ['all of them', Float32Array.of(Number.NaN, Number.NaN)],
  ['one, among greater ones', Float32Array.of(7, Number.NaN, 9)],
  ['an infinite one', Float32Array.of(7, Number.POSITIVE_INFINITY, 9)],
  ['none that may be chosen', Float32Array.of(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY)],
])('logits that are not numbers are a fault, not a token: %s', (_which, logits) => {
  for (const temperature of [0, 1]) {
    const broken = () => new Sampler({ ...greedy, temperature }).sample(logits, 0);
    expect(broken).toThrow(expect.objectContaining({ code: 'MODEL_OUTPUT_INVALID' }));
  }
});
