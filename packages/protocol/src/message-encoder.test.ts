import { expect, test } from 'vitest';
import { MessageEncoder } from './message-encoder.js';
import { ExpertBatch } from './messages.js';
import { viewTensor } from './tensor-message.js';

const batch = (call: number, rows: number): ExpertBatch => {
  const data = Float32Array.from({ length: rows * 3 }, (_, at) => call + at);
  const tensor = viewTensor({ dtype: 'float32', shape: [rows, 3], data }, 'float32');
  return ExpertBatch.fromPartial({ call, layer: 1, experts: [call], rowCounts: [rows], rows: tensor });
};

test('large and small messages in turn are what they are alone, each in memory of its own', () => {
  const encoder = new MessageEncoder(ExpertBatch);
  const batches = [batch(1, 2), batch(2, 3000), batch(3, 1), batch(4, 3000)];
  const encoded = batches.map((each) => encoder.encode(each));
  for (const [at, each] of batches.entries()) {
    expect(Buffer.compare(encoded[at] as Uint8Array, ExpertBatch.encode(each).finish())).toBe(0);
    expect(encoded[at]?.buffer.byteLength).toBe(encoded[at]?.length);
  }
});

test('one that cannot be encoded leaves nothing behind', () => {
  const encoder = new MessageEncoder(ExpertBatch);
  expect(() => encoder.encode({ ...batch(1, 2), rowCounts: [1, -1.5] })).toThrow();
  expect(encoder.encode(batch(2, 1))).toEqual(ExpertBatch.encode(batch(2, 1)).finish());
});
