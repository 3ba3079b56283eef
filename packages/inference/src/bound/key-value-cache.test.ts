import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tensor } from '@tessera/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../random.js';
import { everyBackend } from '../testing/every-backend.js';
import { attention, writeTestGraph } from '../testing/test-graphs.js';
import type { Binding } from './bound-session.js';
import { createBoundSession } from './create-bound-session.js';

const heads = 4;
const kvHeads = 2;
const headDim = 8;
const slots = 5;
const capacity = 24;
/** Elements of one slot: [kvHeads, capacity, headDim]. */
const slotSize = kvHeads * capacity * headDim;

let folder: string;
let path: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-cache-'));
  path = writeTestGraph(folder, 'attention', attention({ heads, kvHeads, headDim }));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

let streams = 0;
const numbers = (count: number): Float32Array => new RandomStream(11n, 'noise', streams++).normals(count);

/** One position of one sequence. */
interface Position {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

const position = (): Position => ({
  q: numbers(heads * headDim),
  k: numbers(kvHeads * headDim),
  v: numbers(kvHeads * headDim),
});

/** What attention gives at the last of the positions, computed plainly. */
function expected(sequence: readonly Position[]): number[] {
  const { q } = sequence.at(-1) as Position;
  const dot = (a: Float32Array, from: number, b: Float32Array, at: number): number => {
    let sum = 0;
    for (let i = 0; i < headDim; i++) sum += (a[from + i] as number) * (b[at + i] as number);
    return sum;
  };
  return Array.from({ length: heads }, (_, head) => {
    const kvHead = Math.floor(head / (heads / kvHeads));
    const weights = sequence.map(({ k }) => Math.exp(dot(q, head * headDim, k, kvHead * headDim) / Math.sqrt(headDim)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return Array.from({ length: headDim }, (__, i) =>
      sequence.reduce(
        (sum, { v }, at) => sum + ((weights[at] as number) / total) * (v[kvHead * headDim + i] as number),
        0,
      ),
    );
  }).flat();
}

const joined = (parts: readonly Float32Array[]): Float32Array => Float32Array.from(parts.flatMap((part) => [...part]));

describe.each(everyBackend)('%s', (_, options) => {
  test('a cache of slots is written in place, by chunks of one sequence and by steps of neighbouring ones', async () => {
    const session = await createBoundSession(path, options);
    // Rubbish in it must not matter, and must stay where nothing is written.
    const keys = new Float32Array(slots * slotSize).fill(77);
    const values = new Float32Array(slots * slotSize).fill(77);
    const sequences: Position[][] = Array.from({ length: slots }, () => []);

    /** Runs the next positions of the slots from `first` on, as many for each. */
    async function step(binding: Binding, first: number, added: readonly (readonly Position[])[]): Promise<void> {
      const batch = added.length;
      const seq = added[0]?.length ?? 0;
      const lengths = added.map((each, at) => {
        const sequence = sequences[first + at] as Position[];
        sequence.push(...each);
        return sequence.length;
      });
      const part = (of: Float32Array) =>
        tensor(
          'float32',
          [batch, kvHeads, capacity, headDim],
          of.subarray(first * slotSize, (first + batch) * slotSize),
        );
      const rows = (name: 'q' | 'k' | 'v', size: number) =>
        tensor('float32', [batch, seq, size], joined(added.flatMap((each) => each.map((one) => one[name]))));
      const attended = new Float32Array(batch * seq * heads * headDim);
      const cache = { key: part(keys), value: part(values) };
      binding.bindInputs({
        q: rows('q', heads * headDim),
        k: rows('k', kvHeads * headDim),
        v: rows('v', kvHeads * headDim),
        past_key: cache.key,
        past_value: cache.value,
        seqlens_k: tensor(
          'int32',
          [batch],
          Int32Array.from(lengths, (length) => length - 1),
        ),
        total_sequence_length: tensor('int32', [1], Int32Array.of(Math.max(...lengths))),
      });
      binding.bindOutputs({
        attended: tensor('float32', [batch, seq, heads * headDim], attended),
        present_key: cache.key,
        present_value: cache.value,
      });
      await binding.run();
      for (const [at, length] of lengths.entries()) {
        const sequence = sequences[first + at] as Position[];
        for (let back = 0; back < seq; back++) {
          const end = ((at + 1) * seq - back) * heads * headDim;
          const wanted = expected(sequence.slice(0, length - back));
          const given = [...attended.subarray(end - heads * headDim, end)];
          expect(Math.max(...given.map((value, i) => Math.abs(value - (wanted[i] as number))))).toBeLessThan(1e-5);
        }
      }
    }

    const binding = session.createBinding();
    const some = (count: number) => Array.from({ length: count }, position);
    // Slot 3 stays out of it until the end: neighbours must not write into it.
    for (const [slot, chunks] of [
      [0, [5]],
      [1, [4, 7, 1]],
      [2, [1, 9]],
      [4, [3]],
    ] as const) {
      for (const count of chunks) await step(binding, slot, [some(count)]);
    }
    const decode = (first: number, count: number) =>
      step(
        binding,
        first,
        Array.from({ length: count }, () => some(1)),
      );
    for (const [first, count] of [
      [0, 3],
      [0, 3],
      [1, 2],
      [2, 1],
      [4, 1],
      [0, 2],
    ] as const) {
      await decode(first, count);
    }
    const untouched = (slot: number) => keys.subarray(slot * slotSize, (slot + 1) * slotSize).every((x) => x === 77);
    expect([0, 1, 2, 3, 4].map(untouched)).toEqual([false, false, false, true, false]);
    // Row n of a slot is position n, and the rows behind the last are as they were.
    for (const [slot, sequence] of sequences.entries()) {
      for (let head = 0; head < kvHeads; head++) {
        const start = slot * slotSize + head * capacity * headDim;
        const wanted = joined(sequence.map(({ k }) => k.subarray(head * headDim, (head + 1) * headDim)));
        expect(keys.subarray(start, start + wanted.length)).toEqual(wanted);
        const behind = keys.subarray(start + wanted.length, start + capacity * headDim);
        expect(behind.every((x) => x === 77)).toBe(true);
      }
    }
    await session.close();
  });
});
