import { expect, test } from 'vitest';
import { FairShare } from './fair-share.js';

test('a written token counts as two of a prompt', () => {
  const share = new FairShare();
  share.enter('a');
  share.prefilled('a', 10);
  share.decoded('a');
  expect([share.servedOf('a'), share.servedOf('nobody')]).toEqual([12, 0]);
});

test('who comes anew begins with the least served of those that are here, as long as any sequence of theirs is', () => {
  const share = new FairShare();
  for (const client of ['a', 'a', 'b']) share.enter(client);
  share.prefilled('a', 7);
  share.prefilled('b', 5);
  share.leave('a');
  share.enter('c');
  expect(share.servedOf('c')).toBe(5);
  share.leave('b');
  share.leave('c');
  // One of a's sequences is left.
  share.enter('d');
  expect(share.servedOf('d')).toBe(7);
  share.leave('a');
  share.leave('d');
  // Nobody is here to be compared with.
  share.enter('e');
  expect(share.servedOf('e')).toBe(0);
});

test('what a client got is remembered while it is away, and no waiting makes it less', () => {
  const share = new FairShare();
  share.enter('a');
  share.enter('b');
  share.prefilled('a', 100);
  share.leave('a');
  share.enter('a');
  expect(share.servedOf('a')).toBe(100);
  share.leave('a');
  share.prefilled('b', 150);
  share.enter('a');
  expect(share.servedOf('a')).toBe(150);
});

test('of those that are away only so many are remembered, the ones that came last', () => {
  const share = new FairShare();
  for (let n = 0; n < 5000; n++) {
    share.enter(`c${n}`);
    share.prefilled(`c${n}`, 10);
    share.leave(`c${n}`);
  }
  expect(share.servedOf(`c${5000 - 4096}`)).toBe(10);
  expect(share.servedOf(`c${5000 - 4097}`)).toBe(0);
});
