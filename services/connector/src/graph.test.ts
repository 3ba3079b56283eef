import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { BatchedGraph, createSession, type Session } from '@tessera/inference';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectorPorts } from './graph.js';

// By rounding at most: see "What is equal to what" in docs/architecture.md.
const rounding = 1e-4;

const pictures = ['apple', 'cat', 'rocket', 'pair', 'count'];
const never = new AbortController().signal;

let session: Session;
const batches: number[] = [];

function graphOf(maxBatch: number): BatchedGraph {
  const ports = connectorPorts({ patches: 36, width: 256, tokens: 9, llmWidth: 256 });
  const onBatch = ({ size }: { size: number }) => batches.push(size);
  return new BatchedGraph(session, { ...ports, what: 'tiles', maxBatch, waitMs: 50, maxWaiting: 16, onBatch });
}

beforeAll(async () => {
  const bundle = await demoBundle();
  session = await createSession(bundle.file(bundle.stage('connector').graph), { threads: 1, device: 'cpu' });
});

afterAll(() => session.release());

test('gives the reference tokens, and in a batch what it gives alone', async () => {
  const features = await Promise.all(pictures.map((name) => goldenTensor(`${name}.features`)));
  const alone = graphOf(1);
  const together = graphOf(pictures.length);
  const one = await Promise.all(features.map((tile) => alone.run(tile, never)));
  batches.length = 0;
  const all = await Promise.all(features.map((tile) => together.run(tile, never)));
  expect(batches).toEqual([pictures.length]);
  for (const [at, name] of pictures.entries()) {
    const reference = await goldenTensor(`${name}.visual_tokens`);
    expect(relativeError(one[at]?.result as Float32Tensor, reference), name).toBeLessThan(2e-3);
    expect(relativeError(all[at]?.result as Float32Tensor, one[at]?.result as Float32Tensor)).toBeLessThan(rounding);
  }
});

test('features of another shape are refused', async () => {
  const bad = tensor('float32', [36, 128], new Float32Array(36 * 128));
  await expect(graphOf(1).run(bad, never)).rejects.toMatchObject({
    code: 'TENSOR_INVALID',
    message: 'features must be [36, 256], not [36, 128]',
  });
});
