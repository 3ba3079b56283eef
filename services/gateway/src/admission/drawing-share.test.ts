import { expect, test } from 'vitest';
import { DrawingShare } from './drawing-share.js';

test('before anything is known those are likely to draw who say how', () => {
  const share = new DrawingShare();
  expect([share.isLikely(true), share.isLikely(false)]).toEqual([true, false]);
});

test('one answer that is otherwise changes nothing; many do, and no more than those of their own kind', () => {
  const share = new DrawingShare();
  const likely = () => [share.isLikely(true), share.isLikely(false)];
  share.ended(true, false);
  share.ended(false, true);
  expect(likely()).toEqual([true, false]);
  for (let n = 0; n < 20; n++) share.ended(true, false);
  expect(likely()).toEqual([false, false]);
  for (let n = 0; n < 20; n++) share.ended(false, true);
  expect(likely()).toEqual([false, true]);
});

test('what was learned is learned anew: of answers that all draw again soon', () => {
  const share = new DrawingShare();
  for (let n = 0; n < 1000; n++) share.ended(true, false);
  for (let n = 0; n < 20; n++) share.ended(true, true);
  expect(share.isLikely(true)).toBe(true);
  for (let n = 0; n < 1000; n++) share.ended(true, n % 3 === 0);
  expect(share.isLikely(true)).toBe(false);
});
