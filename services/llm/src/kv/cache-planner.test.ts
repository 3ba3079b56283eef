import { RandomStream } from '@tessera/inference';
import { expect, test } from 'vitest';
import { HostKvStorage } from '../model/host-kv-storage.js';
import { KeptPrefixes } from '../model/kept-prefixes.js';
import type { CacheOperation, StepPlan } from '../model/step-plan.js';
import { type CacheOwner, CachePlanner } from './cache-planner.js';
import { bytesPerRow, type KvShape } from './kv-shape.js';

const shape: KvShape = { layers: 2, slots: 5, kvHeads: 2, headDim: 4, maxRows: 120 };
const rowBytes = bytesPerRow(shape);

class Owner implements CacheOwner {
  slot = -1;
  cachedTokens = 0;
  reused = 0;
  isDecoding = false;
  isSound = true;

  constructor(
    readonly content: { readonly scope: string; readonly keys: number[] },
    readonly reusable = content.keys.length - 1,
  ) {}

  resumeAt(positions: number): void {
    this.cachedTokens = positions;
    this.reused = positions;
  }

  restart(): void {
    this.resumeAt(0);
  }
}

const prompt = (length: number, ...ends: number[]): number[] => [...Array.from({ length }, (_, n) => n), ...ends];

/** A planner, and what carries its plans out. `step` computes as many more rows of owners as is said. */
class Cache {
  readonly planner: CachePlanner<Owner>;
  readonly storage: HostKvStorage;
  readonly prefixes: KeptPrefixes;
  plans: StepPlan['cache'][] = [];

  constructor(maxBytes: number, allocate = (length: number) => new Float32Array(length), reusesPrefixes = true) {
    this.storage = new HostKvStorage(shape, allocate);
    this.prefixes = new KeptPrefixes(this.storage);
    this.planner = new CachePlanner<Owner>({
      slots: shape.slots,
      maxBytes,
      positionBytes: rowBytes,
      slotBytes: (slots, rows) => this.storage.bytesFor(slots, rows),
      reusesPrefixes,
    });
  }

  /** @returns whether there was memory for it */
  step(...parts: readonly (readonly [Owner, number])[]): boolean {
    const positions = parts.reduce((most, [owner, count]) => Math.max(most, owner.cachedTokens + count), 0);
    const plan = this.planner.plan(positions, this.storage.bytes);
    this.plans.push(plan);
    if (!this.#prepare(plan)) return false;
    this.planner.done();
    for (const [owner, count] of parts) this.#compute(owner, count);
    return true;
  }

  /** Throws unless each row of the slot is what stands at the sequence's position. */
  check(owner: Owner): void {
    const keys = this.storage.keys(1, owner.slot, 1);
    const values = this.storage.values(0, owner.slot, 1);
    for (let row = 0; row < owner.cachedTokens; row++) {
      const expected = mark(owner, row);
      // Of the second head, in its last column.
      const at = (layer: number) => ((this.storage.capacityOf(layer) + row) * shape.headDim + 3) as number;
      if (keys[at(1)] !== expected || values[at(0)] !== -expected) {
        throw new Error(`row ${row} of slot ${owner.slot} is ${keys[at(1)]}, not ${expected}`);
      }
    }
  }

  #prepare({ operations, slots, positions, loads }: StepPlan['cache']): boolean {
    let failed = false;
    for (const operation of operations) {
      try {
        this.#apply(operation);
      } catch {
        failed = true;
      }
    }
    if (failed) return false;
    try {
      this.storage.fit(slots, positions);
    } catch {
      return false;
    }
    for (const load of loads) {
      if (load.type === 'copy') this.storage.copy(load.from, load.to, load.rows);
      else this.prefixes.restore(load.prefix, load.slot, load.rows);
    }
    return true;
  }

  #apply(operation: CacheOperation): void {
    if (operation.type === 'copy') this.storage.copy(operation.from, operation.to, operation.rows);
    if (operation.type === 'swap') this.storage.swap(operation.a, operation.b, operation.rows);
    if (operation.type === 'keep') this.prefixes.keep(operation.prefix, operation.slot, operation.rows);
    if (operation.type === 'drop') this.prefixes.drop(operation.prefix);
  }

  #compute(owner: Owner, count: number): void {
    const { kvHeads, headDim } = shape;
    const newKeys = new Float32Array(count * kvHeads * headDim);
    for (let n = 0; n < newKeys.length; n++) {
      newKeys[n] = mark(owner, owner.cachedTokens + Math.floor(n / (kvHeads * headDim)));
    }
    const newValues = newKeys.map((value) => -value);
    for (let layer = 0; layer < shape.layers; layer++) {
      const rows = { newKeys, newValues, batchRow: 0, seq: count };
      this.storage.append(layer, owner.slot, owner.cachedTokens, count, rows);
    }
    owner.cachedTokens += count;
  }
}

/** What a position holds: it hangs on all positions up to it, and on the scope. */
function mark({ content }: Owner, row: number): number {
  let hash = content.scope.length;
  for (let n = 0; n <= row; n++) hash = (Math.imul(hash, 31) + (content.keys[n] as number) + 1) & 0xffffff;
  return hash;
}

test('what was computed of a sequence that left is taken up by one that begins alike, and by no other scope', () => {
  const cache = new Cache(1e6);
  const first = new Owner({ scope: 'a', keys: prompt(40, 7, 8) });
  cache.planner.acquire(first);
  cache.step([first, 42]);
  cache.planner.release(first);
  expect(cache.planner.keptBytes).toBe(42 * rowBytes);

  const next = new Owner({ scope: 'a', keys: prompt(40, 9) });
  const stranger = new Owner({ scope: 'bb', keys: prompt(40, 9) });
  const short = new Owner({ scope: 'a', keys: prompt(16) });
  const same = new Owner({ scope: 'a', keys: prompt(40, 7, 8) });
  expect([next, stranger, short, same].map((owner) => cache.planner.expected(owner))).toEqual([40, 0, 0, 41]);
  for (const owner of [next, stranger]) cache.planner.acquire(owner);
  expect([next.cachedTokens, stranger.cachedTokens]).toEqual([40, 0]);
  cache.step([next, 1], [stranger, 10]);
  cache.check(next);
  cache.check(stranger);
});

test('a running sequence gives of what it has computed, and no more', () => {
  const cache = new Cache(1e6);
  const running = new Owner({ scope: 'a', keys: prompt(60) });
  cache.planner.acquire(running);
  cache.step([running, 30]);
  const other = new Owner({ scope: 'a', keys: prompt(50, 99) });
  cache.planner.acquire(other);
  expect(other.cachedTokens).toBe(30);
  cache.step([running, 30], [other, 21]);
  cache.check(running);
  cache.check(other);
  // Nothing of it was kept so far.
  expect(cache.planner.keptBytes).toBe(0);
});

test('a beginning gives way to what goes on from it, and a part of one that is kept is not kept again', () => {
  const cache = new Cache(1e6);
  const run = (keys: number[], scope = 'a'): Owner => {
    const owner = new Owner({ scope, keys });
    cache.planner.acquire(owner);
    cache.step([owner, keys.length - owner.cachedTokens]);
    cache.planner.release(owner);
    cache.step();
    return owner;
  };
  run(prompt(20));
  run(prompt(50));
  expect(cache.prefixes.bytes).toBe(50 * rowBytes);
  run(prompt(30));
  run(prompt(50));
  expect(cache.prefixes.bytes).toBe(50 * rowBytes);
  run(prompt(30, 99));
  expect(cache.prefixes.bytes).toBe(81 * rowBytes);
  expect(cache.planner.keptBytes).toBe(81 * rowBytes);
  // Too short to be worth it, of unknown content, or of a sequence that failed.
  run(prompt(15), 'b');
  run([Number.NaN, ...prompt(30)], 'b');
  const broken = new Owner({ scope: 'b', keys: prompt(30) });
  cache.planner.acquire(broken);
  cache.step([broken, 30]);
  broken.isSound = false;
  cache.planner.release(broken);
  expect(cache.planner.keptBytes).toBe(81 * rowBytes);
  // Up to where it is known.
  run([...prompt(25), Number.NaN, 1], 'c');
  expect(cache.planner.keptBytes).toBe(106 * rowBytes);
});

test('running sequences take the room of kept ones, those used least recently first', () => {
  const cache = new Cache(5 * 40 * rowBytes);
  const run = (scope: string, rows: number): Owner => {
    const owner = new Owner({ scope, keys: prompt(rows) });
    cache.planner.acquire(owner);
    cache.step([owner, rows - owner.cachedTokens]);
    return owner;
  };
  for (const scope of ['a', 'b', 'c']) cache.planner.release(run(scope, 40));
  cache.planner.release(run('a', 41));
  const held = (): string[] =>
    ['a', 'b', 'c'].filter((scope) => cache.planner.expected(new Owner({ scope, keys: prompt(40) })) > 0);
  expect(held()).toEqual(['a', 'b', 'c']);
  run('d', 40);
  run('e', 40);
  expect(held()).toEqual(['a', 'c']);
  run('f', 40);
  expect(held()).toEqual(['a']);
  expect(cache.storage.bytes + cache.prefixes.bytes).toBeLessThanOrEqual(5 * 40 * rowBytes);
  run('g', 60);
  expect(held()).toEqual([]);
  expect(cache.prefixes.bytes).toBe(0);
});

test('without memory what is kept gives way, nothing counts as loaded, and then it goes on', () => {
  let full = false;
  const cache = new Cache(1e6, (length) => {
    if (full) throw new RangeError('Array buffer allocation failed');
    return new Float32Array(length);
  });
  const first = new Owner({ scope: 'a', keys: prompt(40) });
  cache.planner.acquire(first);
  cache.step([first, 40]);
  cache.planner.release(first);
  full = true;
  const next = new Owner({ scope: 'a', keys: prompt(40, 9) });
  cache.planner.acquire(next);
  expect(next.cachedTokens).toBe(40);
  expect(cache.step([next, 1])).toBe(false);
  expect(cache.planner.failed()).toBe(true);
  expect([next.cachedTokens, cache.planner.keptBytes]).toEqual([0, 0]);
  full = false;
  expect(cache.step([next, 41])).toBe(true);
  cache.check(next);
  expect(cache.prefixes.bytes).toBe(0);
  expect(cache.planner.failed()).toBe(false);
});

test.each([
  [0, 32],
  [1, 0],
])('a beginning is kept where it fits beside the slots: with %i bytes too few %i positions are', (tooFew, kept) => {
  const cache = new Cache(64 * rowBytes - tooFew);
  const owner = new Owner({ scope: 'a', keys: prompt(32) });
  cache.planner.acquire(owner);
  cache.step([owner, 32]);
  expect(cache.storage.bytes).toBe(32 * rowBytes);
  cache.planner.release(owner);
  expect(cache.planner.keptBytes).toBe(kept * rowBytes);
});

test('what a planned step counts on stays for it; what would not fit beside the slots is not counted on', () => {
  const cache = new Cache(3 * 64 * rowBytes);
  const first = new Owner({ scope: 'a', keys: prompt(60) });
  cache.planner.acquire(first);
  cache.step([first, 60]);
  cache.planner.release(first);
  const next = new Owner({ scope: 'a', keys: prompt(50) });
  cache.planner.acquire(next);
  expect(next.cachedTokens).toBe(49);
  // The slots that another one needs in the same step leave no room for what is kept.
  const other = new Owner({ scope: 'b', keys: prompt(100) });
  cache.planner.acquire(other);
  cache.step([next, 1], [other, 100]);
  expect([next.cachedTokens, other.cachedTokens]).toEqual([50, 100]);
  for (const owner of [next, other]) cache.check(owner);
  cache.step();
  expect(cache.prefixes.bytes).toBe(0);

  const tight = new Cache(100 * rowBytes);
  const long = new Owner({ scope: 'a', keys: prompt(60) });
  tight.planner.acquire(long);
  tight.step([long, 60]);
  tight.planner.release(long);
  const again = new Owner({ scope: 'a', keys: prompt(60) });
  tight.planner.acquire(again);
  expect(again.cachedTokens).toBe(0);
  tight.step([again, 60]);
  tight.check(again);
});

test('what has no room beside beginnings that are about to be taken up is not kept', () => {
  const cache = new Cache(5 * 64 * rowBytes);
  const owners = ['a', 'bb', 'ccc', 'dddd'].map((scope) => new Owner({ scope, keys: prompt(60) }));
  for (const owner of owners) cache.planner.acquire(owner);
  cache.step(...owners.map((owner) => [owner, 60] as const));
  // There is room for one beside so many slots.
  for (const owner of owners.slice(1)) cache.planner.release(owner);
  const next = new Owner({ scope: 'dddd', keys: prompt(60) });
  cache.planner.acquire(next);
  expect(next.cachedTokens).toBe(59);
  cache.planner.release(owners[0] as Owner);
  expect(cache.planner.keptBytes).toBe(60 * rowBytes);
  cache.step([next, 1]);
  cache.check(next);
  expect(cache.prefixes.bytes).toBe(cache.planner.keptBytes);
});

test('a beginning is the same from its first position on, or not at all', () => {
  const cache = new Cache(1e6);
  const first = new Owner({ scope: 'a', keys: [77, ...prompt(40)] });
  cache.planner.acquire(first);
  cache.step([first, 41]);
  expect(cache.planner.expected(new Owner({ scope: 'a', keys: [78, ...prompt(40)] }))).toBe(0);
  cache.planner.release(first);
  expect(first.slot).toBe(-1);
  expect(cache.planner.expected(new Owner({ scope: 'a', keys: [78, ...prompt(40)] }))).toBe(0);
  expect(cache.planner.expected(new Owner({ scope: 'a', keys: [77, ...prompt(40)] }))).toBe(40);
});

test('reuse can be left out', () => {
  const cache = new Cache(1e6, undefined, false);
  const first = new Owner({ scope: 'a', keys: prompt(40) });
  cache.planner.acquire(first);
  cache.step([first, 40]);
  const beside = new Owner({ scope: 'a', keys: prompt(40) });
  cache.planner.acquire(beside);
  cache.planner.release(first);
  expect([beside.cachedTokens, cache.planner.keptBytes]).toEqual([0, 0]);
});

test('whatever comes and goes, with memory or without, each sequence has its own rows', () => {
  const random = new RandomStream(5n, 'noise');
  let position = 0;
  const pick = (count: number): number => Math.floor(random.uniform(position++) * count);
  let refusals = 0;
  let reused = 0;
  let started = false;
  const maxBytes = 5 * 128 * rowBytes;
  const cache = new Cache(maxBytes, (length) => {
    if (started && pick(60) === 0) {
      refusals++;
      throw new RangeError('Array buffer allocation failed');
    }
    return new Float32Array(length);
  });
  started = true;
  const owners: Owner[] = [];
  for (let round = 0; round < 3000; round++) {
    const owner = owners[pick(owners.length)];
    const action = pick(6);
    if (action === 0 && cache.planner.inUse < shape.slots) {
      // Few different ones, so that many begin alike.
      const keys = [...prompt(16 + pick(30)), ...Array.from({ length: 5 + pick(40) }, () => pick(2))];
      const fresh = new Owner({ scope: 'ab'.slice(pick(2)), keys });
      cache.planner.acquire(fresh);
      reused += fresh.reused;
      owners.push(fresh);
    } else if (action === 1 && owner !== undefined) {
      cache.planner.release(owner);
      owners.splice(owners.indexOf(owner), 1);
    } else if (action > 2) {
      const parts = owners.flatMap((each) => {
        const left = each.content.keys.length - each.cachedTokens;
        return left > 0 && pick(2) === 0 ? [[each, 1 + pick(left)] as const] : [];
      });
      if (!cache.step(...parts)) cache.planner.failed();
      else {
        for (const each of owners) {
          if (each.isDecoding || each.cachedTokens < each.content.keys.length) continue;
          cache.planner.promote(each);
          each.isDecoding = true;
        }
        expect(cache.prefixes.bytes).toBe(cache.planner.keptBytes);
        cache.step();
        for (const each of owners) cache.check(each);
        expect(cache.storage.bytes + cache.prefixes.bytes).toBeLessThanOrEqual(maxBytes);
      }
    }
  }
  expect(refusals).toBeGreaterThan(10);
  expect(reused).toBeGreaterThan(2000);
});
