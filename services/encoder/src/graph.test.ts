import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { BatchedGraph, createSession, createThreadSession, type Session } from '@tessera/inference';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encoderPorts } from './graph.js';

// By rounding at most: see "What is equal to what" in docs/architecture.md.
const rounding = 1e-4;

const pictures = ['apple', 'cat', 'rocket', 'pair', 'count'];
const never = new AbortController().signal;
const options = { threads: 1, device: 'cpu' } as const;

let session: Session;
let pixels: Float32Tensor[];
let features: Float32Tensor[];
const batches: number[] = [];

function graphOf(session: Session, maxBatch: number): BatchedGraph {
  const ports = encoderPorts({ inputSize: { height: 96, width: 96 }, patches: 36, width: 256 });
  const onBatch = ({ size }: { size: number }) => batches.push(size);
  return new BatchedGraph(session, { ...ports, what: 'tiles', maxBatch, waitMs: 50, maxWaiting: 16, onBatch });
}

beforeAll(async () => {
  const bundle = await demoBundle();
  session = await createSession(bundle.file(bundle.stage('encoder').graph), options);
  pixels = await Promise.all(pictures.map((name) => goldenTensor(`${name}.pixel_values`)));
  features = await Promise.all(pictures.map((name) => goldenTensor(`${name}.features`)));
});

afterAll(() => session.release());

test('gives the reference features, and in a batch what it gives alone', async () => {
  const alone = graphOf(session, 1);
  const together = graphOf(session, pictures.length);
  const one = await Promise.all(pixels.map((tile) => alone.run(tile, never)));
  batches.length = 0;
  const all = await Promise.all(pixels.map((tile) => together.run(tile, never)));
  expect(batches).toEqual([pictures.length]);
  for (const [at, reference] of features.entries()) {
    expect(relativeError(one[at]?.result as Float32Tensor, reference), pictures[at]).toBeLessThan(2e-3);
    expect(relativeError(all[at]?.result as Float32Tensor, one[at]?.result as Float32Tensor)).toBeLessThan(rounding);
  }
});

test('a session in a thread computes the same, and its end leaves an error', async () => {
  const bundle = await demoBundle();
  const threaded = await createThreadSession('encoder', bundle.file(bundle.stage('encoder').graph), options);
  expect(threaded.inputNames).toEqual(['pixel_values']);
  const graph = graphOf(threaded, 4);
  const { result } = await graph.run(pixels[0] as Float32Tensor, never);
  expect(result.data).toEqual((await graphOf(session, 1).run(pixels[0] as Float32Tensor, never)).result.data);
  expect(pixels[0]?.data.length, 'the caller keeps its tile').toBe(3 * 96 * 96);
  await threaded.release();
  await expect(graph.run(pixels[0] as Float32Tensor, never)).rejects.toMatchObject({ code: 'DRAINING' });
});

test('a graph that is not there is an error, not an end of the process', async () => {
  await expect(createThreadSession('encoder', '/nowhere/encoder.onnx', options)).rejects.toMatchObject({
    name: 'TesseraError',
    message: expect.stringContaining('encoder.onnx'),
  });
});

test('a tile of another shape is refused before it meets others in a batch', async () => {
  const graph = graphOf(session, 2);
  const good = graph.run(pixels[0] as Float32Tensor, never);
  const bad = tensor('float32', [3, 48, 96], new Float32Array(3 * 48 * 96));
  await expect(graph.run(bad, never)).rejects.toMatchObject({
    code: 'TENSOR_INVALID',
    message: 'pixel_values must be [3, 96, 96], not [3, 48, 96]',
  });
  expect(relativeError((await good).result, features[0] as Float32Tensor)).toBeLessThan(2e-3);
});
