import { expect, test } from 'vitest';
import { stepsPerLogit, weightOf } from './exponential.js';

test('weights are the exponential of Math.exp, to 14 digits', () => {
  for (const temperature of [0.1, 0.7, 1, 8]) {
    for (let difference = 0; difference > -41 * temperature; difference -= 0.0137) {
      const expected = Math.exp(difference / temperature);
      expect(Math.abs(weightOf(difference * stepsPerLogit(temperature)) / expected - 1)).toBeLessThan(1e-14);
    }
  }
});

test('the likeliest weighs 1, and what no random number could choose weighs nothing', () => {
  expect(weightOf(0)).toBe(1);
  for (const difference of [-42, -1e9, Number.NEGATIVE_INFINITY, Number.NaN]) {
    expect(weightOf(difference * stepsPerLogit(1))).toBe(0);
  }
});
