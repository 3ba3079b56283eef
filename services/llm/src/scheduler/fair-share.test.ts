import { expect, test } from 'vitest';
import { FairShare } from './fair-share.js';

test('a written token counts as two of a prompt', () => {
  const share = new FairShare();
  share.enter('a');
  share.prefilled('a', 10);
  share.decoded('a');
  expect([share.servedOf('a'), share.servedOf('nobody')]).toEqual([12, 0]);
});

test('who has nothing waiting begins with the least served of those of whom something does', () => {
  const share = new FairShare();
  for (const client of ['a', 'a', 'b']) share.enter(client);
  share.prefilled('a', 7);
  share.prefilled('b', 5);
  share.enter('c');
  expect(share.servedOf('c')).toBe(5);
  share.leave('b');
  share.leave('c');
  // One of a's still waits.
  share.leave('a');
  share.enter('d');
  expect(share.servedOf('d')).toBe(7);
});

test('nobody saves up turns: not with a sequence that runs, and not by being away', () => {
  const share = new FairShare();
  share.enter('saver');
  // It has a slot from here on, and nothing waiting.
  share.leave('saver');
  share.enter('busy');
  share.prefilled('busy', 200_000);
  share.enter('saver');
  expect(share.servedOf('saver')).toBe(200_000);
  share.leave('saver');
  share.prefilled('busy', 50_000);
  share.leave('busy');
  // Nothing waits: the last one to have waited says where all are.
  share.enter('saver');
  expect(share.servedOf('saver')).toBe(250_000);
});

test('what a client got more than others is remembered while it is away', () => {
  const share = new FairShare();
  share.enter('a');
  share.enter('b');
  share.prefilled('a', 100);
  share.leave('a');
  share.enter('a');
  expect([share.servedOf('a'), share.servedOf('b')]).toEqual([100, 0]);
});

test('of those that are away only so many are remembered, the ones that came last', () => {
  const share = new FairShare();
  share.enter('present');
  for (let n = 0; n < 5000; n++) {
    share.enter(`c${n}`);
    share.prefilled(`c${n}`, 10);
    share.leave(`c${n}`);
  }
  expect(share.servedOf(`c${5000 - 4096}`)).toBe(10);
  expect(share.servedOf(`c${5000 - 4097}`)).toBe(0);
});
