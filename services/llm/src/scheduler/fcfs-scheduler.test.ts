import { expect, test } from 'vitest';
import { FcfsScheduler } from './fcfs-scheduler.js';
import type { Schedulable, SchedulerLimits, StepPlan } from './scheduler.js';

interface Item extends Schedulable {
  readonly name: string;
  cachedTokens: number;
  readyTokens: number;
  isDecoding: boolean;
}

const limits: SchedulerLimits = { maxRunning: 4, maxWaiting: 2, maxStepTokens: 20, maxChunkTokens: 8 };

const item = (name: string, promptTokens: number, readyTokens = promptTokens): Item => ({
  name,
  promptTokens,
  readyTokens,
  cachedTokens: 0,
  isDecoding: false,
});

/** Does what an engine does with a plan. */
function compute({ decode, prefill }: StepPlan<Item>): void {
  for (const sequence of decode) sequence.cachedTokens++;
  for (const { sequence, count } of prefill) {
    sequence.cachedTokens += count;
    sequence.isDecoding = sequence.cachedTokens >= sequence.promptTokens;
  }
}

const shape = ({ admitted, decode, prefill }: StepPlan<Item>) => ({
  admitted: admitted.map(({ name }) => name),
  decode: decode.map(({ name }) => name),
  prefill: prefill.map(({ sequence, count }) => `${sequence.name}:${count}`),
});

test('prefill goes in chunks, in order of arrival, within the budget; decode goes on beside it', () => {
  const scheduler = new FcfsScheduler<Item>(limits);
  for (const each of [item('a', 10), item('b', 10), item('c', 10)]) scheduler.add(each);
  const plans = Array.from({ length: 4 }, () => {
    const plan = scheduler.plan();
    compute(plan);
    return shape(plan);
  });
  expect(plans).toEqual([
    { admitted: ['a', 'b', 'c'], decode: [], prefill: ['a:8', 'b:8', 'c:4'] },
    { admitted: [], decode: [], prefill: ['a:2', 'b:2', 'c:6'] },
    { admitted: [], decode: ['a', 'b', 'c'], prefill: [] },
    { admitted: [], decode: ['a', 'b', 'c'], prefill: [] },
  ]);
});

test('a sequence prefills up to its first missing tile, waits without holding others up, and goes on', () => {
  const scheduler = new FcfsScheduler<Item>(limits);
  const picture = item('picture', 12, 4);
  scheduler.add(picture);
  scheduler.add(item('text', 6));
  let plan = scheduler.plan();
  expect(shape(plan).prefill).toEqual(['picture:4', 'text:6']);
  compute(plan);
  plan = scheduler.plan();
  expect(shape(plan)).toEqual({ admitted: [], decode: ['text'], prefill: [] });
  compute(plan);
  picture.readyTokens = 12;
  expect(shape(scheduler.plan())).toEqual({ admitted: [], decode: ['text'], prefill: ['picture:8'] });
});

test('sequences that wait for tiles leave a quarter of the slots to those that have everything', () => {
  const scheduler = new FcfsScheduler<Item>(limits);
  const waiting = ['p1', 'p2', 'p3', 'p4'].map((name) => item(name, 12, 4));
  for (const each of waiting) scheduler.add(each);
  expect(shape(scheduler.plan()).admitted).toEqual(['p1', 'p2', 'p3']);
  scheduler.add(item('text', 6));
  expect(shape(scheduler.plan()).admitted).toEqual(['text']);
  // One that can compute nothing yet takes no slot, even when there is one.
  scheduler.remove(waiting[0] as Item);
  (waiting[3] as Item).readyTokens = 0;
  expect(shape(scheduler.plan()).admitted).toEqual([]);
  (waiting[3] as Item).readyTokens = 12;
  expect(shape(scheduler.plan()).admitted).toEqual(['p4']);
});

test('slots and places to wait are counted together, and come free', () => {
  const scheduler = new FcfsScheduler<Item>(limits);
  const all = Array.from({ length: 6 }, (_, n) => item(`s${n}`, 3));
  for (const each of all) {
    expect(scheduler.isFull).toBe(false);
    scheduler.add(each);
  }
  expect(scheduler.isFull).toBe(true);
  expect(shape(scheduler.plan()).admitted).toEqual(['s0', 's1', 's2', 's3']);
  expect([scheduler.running, scheduler.waiting]).toEqual([4, 2]);
  scheduler.remove(all[1] as Item);
  scheduler.remove(all[5] as Item);
  expect(scheduler.isFull).toBe(false);
  expect(shape(scheduler.plan()).admitted).toEqual(['s4']);
  for (const each of all) scheduler.remove(each);
  expect([scheduler.running, scheduler.waiting]).toEqual([0, 0]);
});

test('an empty plan when there is nothing to compute', () => {
  expect(shape(new FcfsScheduler<Item>(limits).plan())).toEqual({ admitted: [], decode: [], prefill: [] });
});
