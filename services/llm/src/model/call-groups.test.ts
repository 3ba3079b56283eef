import { expect, test } from 'vitest';
import { callGroups } from './call-groups.js';
import type { PlannedRow } from './step-plan.js';

const row = (slot: number, position: number, tokens: number): PlannedRow => ({
  slot,
  position,
  tokenIds: Array.from({ length: tokens }, (_, n) => n),
  media: [],
  wantedLogits: 1,
  wantsHidden: false,
});

const slotsOf = (rows: readonly PlannedRow[], beginsInPlace = false) =>
  callGroups(rows, beginsInPlace).map((group) => group.map(({ slot }) => slot));

test('single tokens over neighbouring slots are one call, decoded or the end of a prompt', () => {
  expect(slotsOf([row(1, 9, 1), row(0, 400, 1), row(2, 3, 1)])).toEqual([[0, 1, 2]]);
  // A gap is a slot that is not to be written to.
  expect(slotsOf([row(0, 9, 1), row(1, 9, 1), row(3, 9, 1)])).toEqual([[0, 1], [3]]);
});

test('beginnings go together where padding at most doubles the work, chunks over a past alone', () => {
  const rows = [row(0, 0, 100), row(1, 0, 49), row(2, 0, 50), row(3, 64, 7), row(4, 64, 7), row(5, 0, 1)];
  expect(slotsOf(rows)).toEqual([[0, 2], [1], [5], [3], [4]]);
  // Over the cache itself only neighbours go together.
  expect(slotsOf(rows, true)).toEqual([[0], [1, 2], [5], [3], [4]]);
});
