import { expect, test } from 'vitest';
import { type EulerStep, eulerStep } from './euler-step.js';

/** One number at 2, after a step from noise level 0.5 to 0.25. */
function stepped(step: Partial<EulerStep>, conditional: number, unconditional?: number): number | undefined {
  const z = Float32Array.of(2);
  const rows = [conditional, unconditional].map((value) => (value === undefined ? value : Float32Array.of(value)));
  const whole: EulerStep = { predictionType: 'velocity', from: 0.5, to: 0.25, guidance: 1, ...step };
  eulerStep(z, rows[0] as Float32Array, rows[1], whole);
  return z[0];
}

test('a velocity is followed, and a picture is gone towards: the whole way, the picture itself', () => {
  expect(stepped({ predictionType: 'velocity' }, 4)).toBe(2 - 0.25 * 4);
  // (2 - 1) / 0.5 is the velocity that leads from the picture at 1 to here.
  expect(stepped({ predictionType: 'sample' }, 1)).toBe(2 - 0.25 * 2);
  expect(stepped({ predictionType: 'sample', to: 0 }, 1)).toBe(1);
});

test('guidance goes away from what the null condition gives', () => {
  expect(stepped({ guidance: 3 }, 4, 3)).toBe(2 - 0.25 * (3 + 3 * 1));
  expect(stepped({ guidance: 0 }, 4, 3)).toBe(2 - 0.25 * 3);
});
