import { expect, test } from 'vitest';
import { MediaBudget, MediaIntake } from './media-intake.js';

const part = (size: number, last = false) => ({ mediaId: 'a', data: Buffer.alloc(size), last });
const intakeOf = (budget = new MediaBudget(1000)) => new MediaIntake(['a'], { itemBytes: 100, partBytes: 60 }, budget);

test('an item of exactly the byte limit is taken, one byte more is refused with the limit', () => {
  const whole = intakeOf();
  whole.add(part(60));
  whole.add(part(40, true));
  expect(whole.finish().get('a')?.bytes).toHaveLength(100);

  const more = intakeOf();
  more.add(part(60));
  expect(() => more.add(part(41, true))).toThrow('media_id "a" has more than 100 bytes, the limit of one media item');
});

test('a part of exactly the limit of a part is taken, one byte more is refused with the limit', () => {
  expect(() => intakeOf().add(part(60))).not.toThrow();
  expect(() => intakeOf().add(part(61))).toThrow('a part of media_id "a" has 61 bytes; the limit of one part is 60');
});

test('requests together may hold exactly the budget, and have it back when they end', () => {
  const budget = new MediaBudget(100);
  const [first, second] = [intakeOf(budget), intakeOf(budget)];
  first.add(part(60));
  second.add(part(40));
  expect(() => second.add(part(1))).toThrow('the gateway holds 100 bytes of media for requests in flight');
  first.release();
  expect(budget.usedBytes).toBe(40);
  second.add(part(60));
  second.release();
  expect(budget.usedBytes).toBe(0);
});
