import { expect, test } from 'vitest';
import { FairScheduler } from './fair-scheduler.js';
import type { Schedulable, Scheduler, SchedulerLimits, SlotAssignment, StepSchedule } from './scheduler.js';

interface Item extends Schedulable {
  readonly name: string;
  cachedTokens: number;
  readyTokens: number;
  isDecoding: boolean;
}

const limits: SchedulerLimits = {
  maxRunning: 4,
  maxWaiting: 2,
  maxWaitingForTiles: 3,
  maxTakeovers: 2,
  maxStepTokens: 20,
  maxChunkTokens: 8,
};
const anyRoom = (): boolean => true;

const item = (name: string, promptTokens: number, options: Partial<Item> = {}): Item => ({
  name,
  promptTokens,
  readyTokens: promptTokens,
  maxTokens: promptTokens + 5,
  slot: -1,
  isUnderWay: false,
  cachedTokens: 0,
  isDecoding: false,
  isTakeover: false,
  priority: 0,
  client: 'c',
  propose: () => 0,
  ...options,
});

const named = (name: string): Item => item(name, 6);
/** Ready as far as its first missing tile. */
const picture = (name: string, options: Partial<Item> = {}): Item => item(name, 12, { readyTokens: 4, ...options });
const taken = (name: string): Item => item(name, 6, { isTakeover: true });

type Planned = SlotAssignment<Item> & StepSchedule<Item>;

function planned(scheduler: Scheduler<Item>): Planned {
  const assigned = scheduler.assignSlots();
  const schedule = scheduler.plan(1);
  scheduler.began(schedule);
  return { ...assigned, ...schedule };
}

/** Does what an engine does with a plan; no guess comes true. */
function compute({ decode, prefill }: StepSchedule<Item>): void {
  for (const { sequence } of decode) sequence.cachedTokens++;
  for (const { sequence, count } of prefill) {
    sequence.cachedTokens += count;
    sequence.isDecoding = sequence.cachedTokens >= sequence.promptTokens;
  }
}

const shape = ({ displaced, admitted, decode, prefill }: Planned) => ({
  displaced: displaced.map(({ name }) => name),
  admitted: admitted.map(({ name }) => name),
  decode: decode.map(({ sequence, count }) => (count === 1 ? sequence.name : `${sequence.name}:${count}`)),
  prefill: prefill.map(({ sequence, count }) => `${sequence.name}:${count}`),
});

test('prefill goes in chunks, in order of arrival, within the budget; decode goes on beside it', () => {
  const scheduler = new FairScheduler<Item>(limits, anyRoom);
  for (const each of [item('a', 10), item('b', 10), item('c', 10)]) scheduler.add(each);
  const plans = Array.from({ length: 4 }, () => {
    const plan = planned(scheduler);
    compute(plan);
    return shape(plan);
  });
  expect(plans).toEqual([
    { displaced: [], admitted: ['a', 'b', 'c'], decode: [], prefill: ['a:8', 'b:8', 'c:4'] },
    { displaced: [], admitted: [], decode: [], prefill: ['a:2', 'b:2', 'c:6'] },
    { displaced: [], admitted: [], decode: ['a', 'b', 'c'], prefill: [] },
    { displaced: [], admitted: [], decode: ['a', 'b', 'c'], prefill: [] },
  ]);
});

test('a sequence prefills up to its first missing tile, waits without holding others up, and goes on', () => {
  const scheduler = new FairScheduler<Item>(limits, anyRoom);
  const one = picture('picture');
  scheduler.add(one);
  scheduler.add(item('text', 6));
  let plan = planned(scheduler);
  expect(shape(plan).prefill).toEqual(['text:6', 'picture:4']);
  compute(plan);
  plan = planned(scheduler);
  expect(shape(plan)).toEqual({ displaced: [], admitted: [], decode: ['text'], prefill: [] });
  compute(plan);
  one.readyTokens = 12;
  expect(shape(planned(scheduler))).toEqual({ displaced: [], admitted: [], decode: ['text'], prefill: ['picture:8'] });
});

test('decode comes off what prefill may take of a step', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxStepTokens: 5 }, anyRoom);
  for (const name of ['a', 'b', 'c']) scheduler.add(item(name, 1));
  compute(planned(scheduler));
  scheduler.add(item('d', 10));
  expect(shape(planned(scheduler))).toMatchObject({ decode: ['a', 'b', 'c'], prefill: ['d:2'] });
});

test('sequences that wait for tiles take slots that are free, and give them up to those that have everything', () => {
  const scheduler = new FairScheduler<Item>(limits, anyRoom);
  const pictures = ['p1', 'p2', 'p3', 'p4'].map((name) => picture(name));
  for (const each of pictures) scheduler.add(each);
  expect(shape(planned(scheduler)).admitted).toEqual(['p1', 'p2', 'p3', 'p4']);
  // The one that loses least goes first; it was there before those that wait.
  pictures.forEach((each, index) => {
    each.cachedTokens = [4, 3, 4, 4][index] as number;
  });
  scheduler.add(named('text'));
  scheduler.add(picture('p5'));
  expect(shape(planned(scheduler))).toMatchObject({ displaced: ['p2'], admitted: ['text'] });
  expect([scheduler.running, scheduler.waiting, scheduler.waitingForTiles]).toEqual([4, 0, 2]);
  // It gets no other slot before it has everything; the next one may have that.
  scheduler.remove(pictures[0] as Item);
  expect(shape(planned(scheduler))).toMatchObject({ displaced: [], admitted: ['p5'] });
  (pictures[1] as Item).readyTokens = 12;
  expect(shape(planned(scheduler))).toMatchObject({ displaced: ['p5'], admitted: ['p2'] });
});

test('one that can compute nothing yet takes no slot', () => {
  const scheduler = new FairScheduler<Item>(limits, anyRoom);
  const bare = picture('bare', { readyTokens: 0 });
  scheduler.add(bare);
  expect(shape(planned(scheduler)).admitted).toEqual([]);
  bare.readyTokens = 4;
  expect(shape(planned(scheduler)).admitted).toEqual(['bare']);
});

test('slots and places to wait are counted together, and come free', () => {
  const scheduler = new FairScheduler<Item>(limits, anyRoom);
  const all = Array.from({ length: 6 }, (_, n) => item(`s${n}`, 3));
  for (const each of all) {
    expect(scheduler.fullFor(each)).toBeUndefined();
    scheduler.add(each);
  }
  expect(scheduler.fullFor(named('text'))).toBe('4 sequences running and 2 waiting');
  expect(scheduler.fullFor(picture('picture'))).toBe('4 sequences running and 2 waiting');
  expect(shape(planned(scheduler)).admitted).toEqual(['s0', 's1', 's2', 's3']);
  expect([scheduler.running, scheduler.waiting]).toEqual([4, 2]);
  scheduler.remove(all[1] as Item);
  scheduler.remove(all[5] as Item);
  expect(scheduler.fullFor(named('text'))).toBeUndefined();
  expect(shape(planned(scheduler)).admitted).toEqual(['s4']);
  for (const each of all) scheduler.remove(each);
  expect([scheduler.running, scheduler.waiting]).toEqual([0, 0]);
});

test('those that wait for tiles have a limit of their own, and fill no place of text', () => {
  const scheduler = new FairScheduler<Item>(limits, anyRoom);
  const pictures = ['p1', 'p2', 'p3'].map((name) => picture(name));
  for (const each of pictures) {
    expect(scheduler.fullFor(each)).toBeUndefined();
    scheduler.add(each);
  }
  // With a slot or without, they wait for tiles.
  for (const when of ['before', 'after']) {
    expect(scheduler.fullFor(picture('p4')), when).toBe('3 sequences waiting for visual tokens');
    planned(scheduler);
  }
  for (let n = 0; n < 6; n++) {
    expect(scheduler.fullFor(named('text'))).toBeUndefined();
    scheduler.add(named(`t${n}`));
  }
  expect(scheduler.fullFor(named('text'))).toBe('4 sequences running and 2 waiting');
  expect(shape(planned(scheduler))).toMatchObject({ admitted: ['t0', 't1', 't2', 't3'] });
  expect([scheduler.running, scheduler.waiting, scheduler.waitingForTiles]).toEqual([4, 2, 3]);
});

test('what was taken over is not refused for what comes new, and goes before it, within a limit of its own', () => {
  const scheduler = new FairScheduler<Item>(limits, anyRoom);
  for (let n = 0; n < 6; n++) scheduler.add(named(`s${n}`));
  planned(scheduler);
  for (const name of ['t0', 't1']) {
    expect(scheduler.fullFor(taken(name))).toBeUndefined();
    scheduler.add(taken(name));
  }
  expect(scheduler.fullFor(taken('t2'))).toBe('2 sequences taken over from other engines waiting');
  const order: string[] = [];
  for (let done = 0; done < 8; done++) {
    const { admitted, prefill } = planned(scheduler);
    order.push(...admitted.map(({ name }) => name));
    scheduler.remove(prefill[0]?.sequence as Item);
  }
  expect(order).toEqual(['t0', 't1', 's4', 's5']);
});

test('sequences taken over keep their order where nobody else waits', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxRunning: 1 }, anyRoom);
  for (const name of ['t0', 't1', 't2']) scheduler.add(taken(name));
  const order: string[] = [];
  for (let done = 0; done < 3; done++) {
    const { admitted } = planned(scheduler);
    order.push(...admitted.map(({ name }) => name));
    scheduler.remove(admitted[0] as Item);
  }
  expect(order).toEqual(['t0', 't1', 't2']);
});

test('a slot is given only where the cache has room for all at their longest; nobody passes who waits for room', () => {
  // Room for 40 positions in slots of equal length.
  const scheduler = new FairScheduler<Item>(limits, (slots, rows) => slots * rows <= 40);
  const short = named('short');
  const long = item('long', 10, { maxTokens: 20 });
  const big = item('big', 10, { maxTokens: 40 });
  const next = named('next');
  for (const each of [short, long, big, next]) scheduler.add(each);
  expect(shape(planned(scheduler)).admitted).toEqual(['short', 'long']);
  scheduler.remove(long);
  expect(shape(planned(scheduler)).admitted).toEqual([]);
  scheduler.remove(short);
  expect(shape(planned(scheduler)).admitted).toEqual(['big']);
  scheduler.remove(big);
  expect(shape(planned(scheduler)).admitted).toEqual(['next']);
  // Room too is given up by those that wait for tiles.
  scheduler.remove(next);
  scheduler.add(picture('wide', { maxTokens: 30 }));
  expect(shape(planned(scheduler)).admitted).toEqual(['wide']);
  scheduler.add(named('text'));
  expect(shape(planned(scheduler))).toMatchObject({ displaced: ['wide'], admitted: ['text'] });
});

test('an empty plan when there is nothing to compute', () => {
  expect(shape(planned(new FairScheduler<Item>(limits, anyRoom)))).toEqual({
    displaced: [],
    admitted: [],
    decode: [],
    prefill: [],
  });
});

/** Runs one sequence after the other to its end; the order in which they got the only slot. */
function served(scheduler: FairScheduler<Item>, count: number): string[] {
  const order: string[] = [];
  for (let done = 0; done < count; ) {
    const plan = planned(scheduler);
    order.push(...plan.admitted.map(({ name }) => name));
    compute(plan);
    for (const { sequence } of plan.decode) {
      if (sequence.cachedTokens < sequence.maxTokens) continue;
      scheduler.remove(sequence);
      done++;
    }
  }
  return order;
}

test('guesses are verified for a sequence that decodes alone, out of the budget of the step', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxStepTokens: 10 }, anyRoom);
  const asked: number[] = [];
  const propose = (most: number): number => {
    asked.push(most);
    return Math.min(3, most);
  };
  const [a, b] = [item('a', 4, { propose }), item('b', 4, { propose })];
  scheduler.add(a);
  compute(planned(scheduler));
  scheduler.add(item('long', 12));
  const alone = planned(scheduler);
  expect(shape(alone)).toMatchObject({ decode: ['a:4'], prefill: ['long:6'] });
  expect(asked).toEqual([9]);
  scheduler.remove((alone.prefill[0] as { sequence: Item }).sequence);
  scheduler.add(b);
  compute(planned(scheduler));
  expect(shape(planned(scheduler))).toMatchObject({ decode: ['a', 'b'] });
  expect(asked).toHaveLength(2);
});

test('guesses count as what a client got', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxRunning: 1 }, anyRoom);
  const first = (client: string, guesses: number): Item =>
    item(`${client}1`, 6, { client, maxTokens: 9, propose: () => guesses });
  // Both clients wait from the beginning, and each gets a sequence done; that of b has guesses that come to nothing.
  for (const one of [first('a', 0), first('b', 2), item('b2', 6, { client: 'b' }), item('a2', 6, { client: 'a' })]) {
    scheduler.add(one);
  }
  expect(served(scheduler, 4)).toEqual(['a1', 'b1', 'a2', 'b2']);
});

test('clients get their turns by what they got so far, whoever sends how much', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxRunning: 1 }, anyRoom);
  for (const name of ['a1', 'a2', 'a3', 'a4']) scheduler.add(item(name, 6, { client: 'a' }));
  expect(shape(planned(scheduler)).admitted).toEqual(['a1']);
  scheduler.add(item('b1', 6, { client: 'b' }));
  // A long prompt counts for more.
  scheduler.add(item('c1', 40, { client: 'c' }));
  scheduler.add(item('c2', 6, { client: 'c' }));
  scheduler.add(item('b2', 6, { client: 'b' }));
  expect(served(scheduler, 8)).toEqual(['b1', 'c1', 'a2', 'b2', 'a3', 'a4', 'c2']);
});

test('who comes anew begins with the least served of those that are here: nothing is saved up, nothing is owed', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxRunning: 1 }, anyRoom);
  for (let n = 0; n < 5; n++) scheduler.add(item(`a${n}`, 6, { client: 'a' }));
  const order = served(scheduler, 3);
  for (let n = 0; n < 3; n++) scheduler.add(item(`b${n}`, 6, { client: 'b' }));
  order.push(...served(scheduler, 5));
  expect(order).toEqual(['a0', 'a1', 'a2', 'a3', 'b0', 'a4', 'b1', 'b2']);
});

test('a higher priority goes first, and takes the slot of the lowest one that runs when there is no other', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxRunning: 2 }, anyRoom);
  const [low, middle, high] = [-1, 0, 5].map((priority) => item(`p${priority}`, 6, { priority }));
  for (const each of [low, middle] as Item[]) scheduler.add(each);
  compute(planned(scheduler));
  compute(planned(scheduler));
  // What has no higher one waits.
  scheduler.add(item('as low', 6, { priority: -1 }));
  scheduler.add(item('as middling', 6));
  expect(shape(planned(scheduler))).toMatchObject({ displaced: ['p-1'], admitted: ['as middling'] });
  scheduler.add(high as Item);
  expect(shape(planned(scheduler))).toMatchObject({ displaced: ['as middling'], admitted: ['p5'] });
  // The one that lost its slot came before those that have had none.
  scheduler.remove(high as Item);
  scheduler.remove(middle as Item);
  expect(shape(planned(scheduler)).admitted).toEqual(['as middling', 'p-1']);
});

test('prompts of a higher priority get the budget of a step first', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxStepTokens: 10 }, anyRoom);
  for (const priority of [0, 3, 1]) scheduler.add(item(`p${priority}`, 6, { priority }));
  expect(shape(planned(scheduler)).prefill).toEqual(['p3:6', 'p1:4']);
});

test('a takeover is no victim of a newcomer, whatever their priorities, and nobody of whom has just got the slot', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxRunning: 1 }, anyRoom);
  scheduler.add(item('taken', 6, { isTakeover: true }));
  scheduler.add(item('newcomer', 6, { priority: 1 }));
  expect(shape(planned(scheduler))).toMatchObject({ displaced: [], admitted: ['taken'] });
  expect(shape(planned(scheduler))).toMatchObject({ displaced: [], admitted: [] });
  // Of two that come at once the lower one is not given a slot only to lose it.
  const other = new FairScheduler<Item>({ ...limits, maxRunning: 1 }, anyRoom);
  other.add(picture('p', { priority: -1 }));
  expect(shape(planned(other)).admitted).toEqual(['p']);
  for (const priority of [0, 1, 2]) other.add(item(`p${priority}`, 6, { priority }));
  expect(shape(planned(other))).toMatchObject({ displaced: ['p'], admitted: ['p2'] });
  expect([other.running, other.waiting]).toEqual([1, 2]);
});

test('nobody loses a slot where that makes no room', () => {
  const scheduler = new FairScheduler<Item>(limits, (slots, rows) => slots * rows <= 40);
  for (const each of [item('low', 10, { maxTokens: 20, priority: -1 }), item('as high', 10, { maxTokens: 20 })]) {
    scheduler.add(each);
  }
  compute(planned(scheduler));
  scheduler.add(item('wide', 10, { maxTokens: 40 }));
  expect(shape(planned(scheduler))).toMatchObject({ displaced: [], admitted: [] });
});

test('who waits for room holds up those behind, but for what they may take from others', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxRunning: 1 }, anyRoom);
  scheduler.add(item('running', 6));
  compute(planned(scheduler));
  scheduler.add(item('taken', 6, { isTakeover: true }));
  scheduler.add(item('high', 6, { priority: 1 }));
  expect(shape(planned(scheduler))).toMatchObject({ displaced: ['running'], admitted: ['high'] });
});

test('who lost its slot waits as any other: who comes anew is not served before it as if nobody waited', () => {
  const scheduler = new FairScheduler<Item>({ ...limits, maxRunning: 1 }, anyRoom);
  scheduler.add(item('a', 6, { client: 'a', maxTokens: 20 }));
  for (let step = 0; step < 3; step++) compute(planned(scheduler));
  const high = item('high', 6, { client: 'other', priority: 1 });
  scheduler.add(high);
  expect(shape(planned(scheduler))).toMatchObject({ displaced: ['a'], admitted: ['high'] });
  scheduler.add(item('b', 6, { client: 'b' }));
  scheduler.remove(high);
  expect(shape(planned(scheduler)).admitted).toEqual(['a']);
});
