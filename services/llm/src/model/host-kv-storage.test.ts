import { kvCacheTypes } from '@tessera/bundle';
import { RandomStream } from '@tessera/inference';
import { zeros } from '@tessera/protocol';
import { expect, test } from 'vitest';
import type { KvShape } from '../kv/kv-shape.js';
import { KvSlots, type SlotOwner } from '../kv/kv-slots.js';
import { HostKvStorage } from './host-kv-storage.js';
import type { CacheOperation } from './step-plan.js';

const shape: KvShape = { layers: 2, slots: 6, kvHeads: 2, headDim: 4, maxRows: 300 };

/** A number as a cache gives it back: of float16 the storage has 16 bits, whatever they say. */
const asHeld = ({ shape: { kvCache } }: HostKvStorage, value: number): number =>
  kvCache === 'float16' ? value & 0xffff : value;

interface Owner extends SlotOwner {
  readonly id: number;
  cachedTokens: number;
  isDecoding: boolean;
}

/** The number that owner `id` has in a place; no two places of the test share one. */
const mark = (id: number, layer: number, head: number, row: number, column: number): number =>
  id * 1e5 + layer * 5e4 + head * 2e4 + row * 10 + column;

function appendRows(storage: HostKvStorage, owner: Owner, count: number): void {
  const { layers, kvHeads, headDim } = shape;
  // Padded on the right by two rows, and second in its batch: only its own rows may arrive.
  const seq = count + 2;
  for (let layer = 0; layer < layers; layer++) {
    const newKeys = new Float32Array(2 * kvHeads * seq * headDim).fill(-1);
    for (let head = 0; head < kvHeads; head++) {
      for (let row = 0; row < count; row++) {
        for (let column = 0; column < headDim; column++) {
          newKeys[((seq + row) * kvHeads + head) * headDim + column] = mark(
            owner.id,
            layer,
            head,
            owner.cachedTokens + row,
            column,
          );
        }
      }
    }
    const newValues = newKeys.map((value) => -value);
    storage.append(layer, owner.slot, owner.cachedTokens, count, { newKeys, newValues, batchRow: 1, seq });
  }
  owner.cachedTokens += count;
}

/** What an executor does with them. */
function apply(storage: HostKvStorage, operation: CacheOperation): void {
  if (operation.type === 'copy') storage.copy(operation.from, operation.to, operation.rows);
  if (operation.type === 'swap') storage.swap(operation.a, operation.b, operation.rows);
}

function check(storage: HostKvStorage, owner: Owner): void {
  const { layers, kvHeads, headDim } = shape;
  for (let layer = 0; layer < layers; layer++) {
    const keys = storage.keys(layer, owner.slot, 1);
    const values = storage.values(layer, owner.slot, 1);
    for (let head = 0; head < kvHeads; head++) {
      for (let row = 0; row < owner.cachedTokens; row++) {
        const at = (head * storage.capacityOf(layer) + row) * headDim;
        const expected = mark(owner.id, layer, head, row, 0);
        if (keys[at] !== asHeld(storage, expected) || values[at] !== asHeld(storage, -expected)) {
          throw new Error(
            `owner ${owner.id}, slot ${owner.slot}, layer ${layer}, head ${head}, row ${row} is not its own`,
          );
        }
      }
    }
  }
}

test.each(kvCacheTypes)(
  '%s: whatever comes and goes, with memory or without, each finds its own rows, and decoding ones are a prefix',
  (kvCache) => {
    const random = new RandomStream(11n, 'noise');
    let position = 0;
    const pick = (count: number): number => Math.floor(random.uniform(position++) * count);
    let refusals = 0;
    // Some allocations fail, in the midst of the layers too.
    const storage = new HostKvStorage({ ...shape, kvCache }, (length, type) => {
      if (position > 0 && pick(8) === 0) {
        refusals++;
        throw new RangeError('Array buffer allocation failed');
      }
      return zeros(type, length);
    });
    const slots = new KvSlots<Owner>(shape.slots, {
      record: (operation) => apply(storage, operation),
      rowsOf: ({ cachedTokens }) => cachedTokens,
    });
    const owners: Owner[] = [];
    let nextId = 1;
    for (let step = 0; step < 1500; step++) {
      const owner = owners[pick(owners.length)];
      const action = pick(5);
      if (action === 0 && slots.free > 0) {
        const fresh: Owner = { id: nextId++, slot: -1, cachedTokens: 0, isDecoding: false };
        slots.acquire(fresh);
        owners.push(fresh);
      } else if (action === 1 && owner !== undefined) {
        slots.release(owner);
        slots.release(owner);
        owners.splice(owners.indexOf(owner), 1);
        expect(owner.slot).toBe(-1);
      } else if (action === 2 && owner !== undefined && !owner.isDecoding && storage.holds(owner.slot, 0)) {
        slots.promote(owner);
        owner.isDecoding = true;
      } else if (owner !== undefined) {
        const count = Math.min(1 + pick(40), shape.maxRows - owner.cachedTokens);
        try {
          storage.fit(slots.inUse, Math.max(slots.longest(), owner.cachedTokens + count));
          expect(owners.every(({ slot, cachedTokens }) => storage.holds(slot, cachedTokens))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
        const rows = owner.cachedTokens + count;
        if (count > 0 && storage.holds(owner.slot, rows)) appendRows(storage, owner, count);
      }
      expect(slots.inUse).toBe(owners.length);
      expect(new Set(owners.map(({ slot }) => slot))).toEqual(new Set(owners.keys()));
      const decoding = slots.decoding();
      expect(new Set(decoding)).toEqual(new Set(owners.filter(({ isDecoding }) => isDecoding)));
      expect(decoding.map(({ slot }) => slot)).toEqual([...decoding.keys()]);
      for (const each of owners) check(storage, each);
    }
    for (const owner of owners) slots.release(owner);
    expect(slots.inUse).toBe(0);
    expect(refusals).toBeGreaterThan(10);
  },
);

test('capacity follows the longest sequence, is at most a quarter too large, and never exceeds the context', () => {
  const storage = new HostKvStorage(shape);
  expect(storage.capacity).toBe(16);
  for (let rows = 1; rows <= shape.maxRows; rows++) {
    storage.fit(6, rows);
    expect(storage.capacity).toBeGreaterThanOrEqual(rows);
    expect(storage.capacity).toBeLessThanOrEqual(Math.min(shape.maxRows, Math.max(rows + 15, rows * 1.25)));
    expect(storage.bytes).toBe(storage.bytesFor(6, rows));
  }
  // It keeps its length until half of it would do.
  const capacities = [300, 200, 161, 140, 128, 20, 1].map((rows) => {
    storage.fit(6, rows);
    return storage.capacity;
  });
  expect(capacities).toEqual([300, 300, 300, 300, 128, 32, 16]);
  expect(storage.bytes).toBe(2 * 2 * 6 * 2 * 16 * 4 * 4);
});

test('there are as many slots as sequences, and memory for no more', () => {
  const slotBytes = 2 * 2 * 2 * 16 * 4 * 4;
  const storage = new HostKvStorage({ ...shape, slots: 32 });
  expect(storage.bytes).toBe(slotBytes);
  const held = [1, 2, 3, 5, 8, 9, 17, 29, 32, 17, 16, 3, 1].map((slots) => {
    storage.fit(slots, 10);
    expect(storage.holds(slots - 1, 10)).toBe(true);
    return storage.bytes / slotBytes;
  });
  // As with rows: at most a quarter too many, and fewer when half would do.
  expect(held).toEqual([1, 2, 3, 5, 8, 10, 20, 32, 32, 32, 16, 3, 1]);
});

test('memory that is not to be had is an error, and the cache is as it was', () => {
  const storage = new HostKvStorage({ ...shape, maxRows: 2 ** 40 });
  const owner: Owner = { id: 3, slot: 0, cachedTokens: 0, isDecoding: false };
  appendRows(storage, owner, 14);
  const { bytes } = storage;
  expect(() => storage.fit(6, 2 ** 39)).toThrow(RangeError);
  expect(storage.bytes).toBe(bytes);
  expect([storage.holds(0, 16), storage.holds(0, 17), storage.holds(1, 1)]).toEqual([true, false, false]);
  check(storage, owner);
});

test('a cache that finds no memory to become smaller stays as it is', () => {
  let full = false;
  const storage = new HostKvStorage(shape, (length) => {
    if (full) throw new RangeError('Array buffer allocation failed');
    return new Float32Array(length);
  });
  storage.fit(6, 300);
  const { bytes } = storage;
  full = true;
  storage.fit(1, 16);
  expect(storage.bytes).toBe(bytes);
  full = false;
  storage.fit(1, 16);
  expect(storage.bytes).toBe(storage.bytesFor(1, 16));
});
