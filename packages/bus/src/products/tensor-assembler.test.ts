import { type Float32Tensor, type StageWork, VisualTokenRows, visualTokens } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { counted } from '../testing/messages.js';
import { TensorAssembler } from './tensor-assembler.js';

const partBytes = 64;
const limits = { maxTensorBytes: 4096, maxPendingBytes: 4096 };

interface PartOptions {
  readonly attempt?: number;
  readonly tile?: number;
  readonly timings?: StageWork[];
}

function payloads(tensor: Float32Tensor, { attempt = 1, tile = 0, timings = [] }: PartOptions = {}): Uint8Array[] {
  const content = { key: { requestId: 'r', attempt, item: 0 }, tile, tensor, timings };
  return [...visualTokens.pieces(content, { ...limits, partBytes })].map(({ payload }) => payload);
}

function at(part: number, tile = 0) {
  return { requestId: 'r', item: 0, tile, part };
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('missing');
  return value;
}

test('parts in any order become the tensor, once', () => {
  const assembler = new TensorAssembler(limits);
  const timing = { stage: 'connector', queueMs: 1, busyMs: 2, endedAtMs: 3 };
  const whole = counted(10, 8);
  const [first, second, third] = payloads(whole, { timings: [timing] });
  expect(assembler.add(at(2), must(third)).kind).toBe('waiting');
  expect(assembler.add(at(0), must(first)).kind).toBe('waiting');
  expect(assembler.add(at(0), must(first))).toMatchObject({ kind: 'dropped', why: 'duplicate' });
  const outcome = assembler.add(at(1), must(second));
  expect(outcome).toMatchObject({ kind: 'complete', tensor: { item: 0, tile: 0, attempt: 1, tensor: whole } });
  expect(outcome.kind === 'complete' && outcome.tensor.timings).toMatchObject([timing]);
  expect(assembler.add(at(1), must(second))).toMatchObject({ kind: 'dropped', why: 'duplicate' });
});

test('attempts are not mixed, and the first that is complete wins', () => {
  const assembler = new TensorAssembler(limits);
  const older = payloads(counted(8, 8), { attempt: 1 });
  const newer = payloads(counted(8, 8, 100), { attempt: 2 });
  expect(assembler.add(at(0), must(older[0])).kind).toBe('waiting');
  expect(assembler.add(at(1), must(newer[1])).kind).toBe('waiting');
  expect(assembler.add(at(0), must(newer[0]))).toMatchObject({
    kind: 'complete',
    tensor: { attempt: 2, tensor: counted(8, 8, 100) },
  });
  expect(assembler.add(at(1), must(older[1]))).toMatchObject({ kind: 'dropped', why: 'duplicate' });
});

test('what is corrupt is dropped, and a later valid copy is kept', () => {
  const assembler = new TensorAssembler(limits);
  const [first, second] = payloads(counted(8, 8));
  const decoded = VisualTokenRows.decode(must(first));
  const corrupt = (change: Partial<VisualTokenRows>) => VisualTokenRows.encode({ ...decoded, ...change }).finish();
  const rows = must(decoded.rows);
  for (const payload of [
    Uint8Array.of(255, 255, 255),
    must(first).subarray(0, 20),
    corrupt({ part: 2 }),
    corrupt({ parts: 0 }),
    // No part is smaller than 1024 bytes, so that a tensor of 4096 has at most four.
    corrupt({ parts: 5 }),
    corrupt({ parts: 1_000_000 }),
    corrupt({ tile: 1 }),
    corrupt({ key: undefined }),
    corrupt({ key: { requestId: 'other', attempt: 1, item: 0 } }),
    corrupt({ key: { requestId: 'r', attempt: 1, item: 1 } }),
    corrupt({ rows: undefined }),
    corrupt({ rows: { ...rows, shape: [5, 8] } }),
    corrupt({ rows: { ...rows, shape: [], data: Buffer.alloc(2) } }),
  ]) {
    expect(assembler.add(at(0), payload)).toMatchObject({ kind: 'dropped', why: 'corrupt' });
  }
  expect(assembler.add(at(2), corrupt({ part: 2 }))).toMatchObject({ kind: 'dropped', why: 'corrupt' });
  expect(assembler.add(at(0), must(first)).kind).toBe('waiting');
  expect(assembler.add(at(1), corrupt({ part: 1, parts: 3 }))).toMatchObject({ kind: 'dropped', why: 'corrupt' });
  const [, otherWidth] = payloads(counted(16, 4));
  expect(assembler.add(at(1), must(otherWidth))).toMatchObject({ kind: 'dropped', why: 'corrupt' });
  expect(assembler.add(at(1), must(second)).kind).toBe('complete');
});

test('what waits unfinished is bounded: the oldest tile goes', () => {
  // Just as much as two parts take.
  const small = new TensorAssembler({ ...limits, maxPendingBytes: 256 });
  const tiles = [0, 1, 2].map((tile) => payloads(counted(8, 8), { tile }));
  expect(small.add(at(0, 0), must(tiles[0]?.[0])).kind).toBe('waiting');
  expect(small.add(at(0, 1), must(tiles[1]?.[0])).kind).toBe('waiting');
  expect(small.add(at(0, 2), must(tiles[2]?.[0]))).toMatchObject({ kind: 'dropped', why: 'overflow' });
  expect(small.add(at(1, 2), must(tiles[2]?.[1])).kind).toBe('complete');
  expect(small.add(at(1, 1), must(tiles[1]?.[1])).kind).toBe('complete');
  expect(small.add(at(1, 0), must(tiles[0]?.[1])).kind).toBe('waiting');
});

test('a request that ends takes what it held with it, and no other', () => {
  const small = new TensorAssembler({ ...limits, maxPendingBytes: 300 });
  const [first, second] = payloads(counted(8, 8));
  const other = { ...at(0), requestId: 'other' };
  const otherFirst = VisualTokenRows.decode(must(first));
  const renamed = VisualTokenRows.encode({ ...otherFirst, key: { requestId: 'other', attempt: 1, item: 0 } }).finish();
  expect(small.add(at(0), must(first)).kind).toBe('waiting');
  expect(small.add(other, renamed).kind).toBe('waiting');
  small.forgetRequest('r');
  // There is room again: the other request's part was not dropped for it.
  expect(small.add(at(1), must(second)).kind).toBe('waiting');
  expect(small.add(at(0), must(first)).kind).toBe('complete');
  expect(small.has(at(0))).toBe(true);
  small.forgetRequest('r');
  expect(small.has(at(0))).toBe(false);
  expect(small.add(other, renamed)).toMatchObject({ kind: 'dropped', why: 'duplicate' });
});

test('parts with fields that this release does not know are told of, and used', () => {
  let told = 0;
  const assembler = new TensorAssembler(limits, () => told++);
  const whole = counted(2, 8);
  const part = VisualTokenRows.decode(must(payloads(whole)[0]));
  const newer = { ...part, _unknownFields: { 794: [Uint8Array.of(1, 0x61)] } };
  expect(assembler.add(at(0), VisualTokenRows.encode(newer).finish())).toMatchObject({ kind: 'complete' });
  expect(told).toBe(1);
});
