import { expect, test } from 'vitest';
import { kernels } from './kernels.js';

test.each(Object.entries(kernels))(
  'the filter %s weighs what lies within its support, and nothing beyond',
  (_, kernel) => {
    const { support, weight } = kernel;
    const step = 1e-3;
    for (const side of [-1, 1]) {
      expect(weight(side * (support - step))).not.toBe(0);
      expect(weight(side * (support + step))).toBe(0);
    }
    expect(weight(0)).toBeCloseTo(1, 6);
  },
);
