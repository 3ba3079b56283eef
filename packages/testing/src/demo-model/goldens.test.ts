import { expect, test } from 'vitest';
import { goldenCase, goldenCases, picturesOf, visibleAnswer } from './goldens.js';

test('a case is found by its id, and one that is not there is named', () => {
  expect(goldenCase('apple.0').image).toBe('apple.png');
  expect(() => goldenCase('apple.99')).toThrow('apple.99');
});

test('every picture that a question is about is there, as a PNG', () => {
  const pictures = goldenCases.map(picturesOf);
  expect(pictures.map(({ length }) => length)).toEqual(goldenCases.map(({ image }) => (image === null ? 0 : 1)));
  for (const [picture] of pictures)
    if (picture !== undefined) expect(String.fromCharCode(...picture.subarray(1, 4))).toBe('PNG');
});

test('a caller sees no token that begins a drawing', () => {
  const drawn = goldenCases.filter(({ answer }) => answer.includes('<|'));
  expect(drawn.length).toBeGreaterThan(0);
  for (const golden of drawn) expect(visibleAnswer(golden)).not.toContain('<|');
});
