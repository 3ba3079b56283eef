import { type Bundle, readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import {
  type ComputeRequest,
  type ComputeResponse,
  ExpertBatch,
  ExpertServiceDefinition,
  encodeTensor,
  type TesseraError,
} from '@tessera/protocol';
import { createClient, type Exchange } from '@tessera/service';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestShard, type TestShard } from '../../testing/expert-shards.js';

let bundle: Bundle;
let shard: TestShard;

beforeAll(async () => {
  bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
  const groups = { a: [{ layers: 'all', experts: [0, 1] }], b: [{ layers: 'all', experts: 'all' }] };
  shard = await startTestShard(bundle, { revision: bundle.manifest.revision, epoch: 7, groups }, 'a');
});

afterAll(() => shard.stop());

/** A stream to the shard, begun or not. */
function open(start: Partial<{ revision: string }> | null = {}) {
  const client = createClient(ExpertServiceDefinition, shard.address.address);
  const seen: ComputeResponse[] = [];
  const ended = deferred<TesseraError | undefined>();
  const stream: Exchange<ComputeRequest> = client.exchange(ExpertServiceDefinition.methods.compute, {
    onMessage: (message) => seen.push(message),
    onEnd: (error) => ended.resolve(error),
  });
  if (start !== null) {
    const value = { revision: bundle.manifest.revision, placementEpoch: 7, ...start };
    stream.send({ message: { $case: 'start', value } });
  }
  return { seen, stream, ended: ended.promise, [Symbol.dispose]: () => client.close() };
}

const rows = (count: number, width = 256) =>
  encodeTensor({ dtype: 'float32', shape: [count, width], data: new Float32Array(count * width).fill(0.1) }, 'float32');

const batch = (changes: Partial<ExpertBatch>): ComputeRequest => {
  const value = ExpertBatch.fromPartial({ call: 1, layer: 2, experts: [1], rowCounts: [2], rows: rows(2), ...changes });
  return { message: { $case: 'batch', value } };
};

test('says what it holds first, then answers', async () => {
  using to = open();
  to.stream.send(batch({}));
  await eventually(() => to.seen.length === 2, 'both have come');
  expect(to.seen[0]?.message).toMatchObject({ $case: 'holdings', value: { placementEpoch: 7, draining: false } });
  expect(to.seen[1]?.message).toMatchObject({ $case: 'answers', value: { call: 1, rows: { shape: [2, 256] } } });
  to.stream.end();
  expect(await to.ended).toBeUndefined();
});

test.each<[string, Partial<ExpertBatch>, object]>([
  ['an expert that it does not hold', { experts: [2] }, { code: 'EXPERT_NOT_HELD', message: /expert 2 of layer 2/ }],
  ['a layer that is not there', { layer: 40 }, { code: 'EXPERT_NOT_HELD' }],
  ['fewer rows than are shared out', { rowCounts: [3] }, { code: 'REQUEST_INVALID', message: /row_counts/ }],
  ['more experts than counts', { experts: [0, 1] }, { code: 'REQUEST_INVALID', message: /row_counts/ }],
  ['an expert without rows', { experts: [0, 1], rowCounts: [2, 0] }, { code: 'REQUEST_INVALID' }],
  ['rows of another width', { rows: rows(2, 128) }, { code: 'REQUEST_INVALID', message: /width of 128/ }],
  ['bytes that do not fill the shape', { rows: { ...rows(2), shape: [4, 256] } }, { code: 'TENSOR_INVALID' }],
  ['no rows', { rows: undefined }, { code: 'TENSOR_INVALID' }],
])('%s: the call fails by a code of the table, and the stream goes on', async (_, changes, failure) => {
  using to = open();
  to.stream.send(batch({ ...changes, call: 5 }));
  to.stream.send(batch({ call: 6 }));
  await eventually(() => to.seen.length === 3, 'all have come');
  const { message, ...rest } = failure as { message?: RegExp };
  expect(to.seen[1]?.message).toMatchObject({
    $case: 'failure',
    value: { call: 5, ...rest, ...(message && { message: expect.stringMatching(message) }) },
  });
  expect(to.seen[2]?.message).toMatchObject({ $case: 'answers', value: { call: 6 } });
  to.stream.end();
  await to.ended;
});

test('an engine of another revision is refused, and so is a stream that does not begin with a start', async () => {
  using other = open({ revision: 'ffffffffffff' });
  expect(await other.ended).toMatchObject({
    code: 'MODEL_NOT_FOUND',
    message: expect.stringContaining('the engine has ffffffffffff'),
  });
  using unbegun = open(null);
  unbegun.stream.send(batch({}));
  expect(await unbegun.ended).toMatchObject({ code: 'REQUEST_INVALID', field: 'start' });
  using twice = open();
  twice.stream.send({ message: undefined });
  expect(await twice.ended).toMatchObject({ code: 'REQUEST_INVALID' });
});

test('Describe says what is held', async () => {
  const client = createClient(ExpertServiceDefinition, shard.address.address);
  expect(await client.describe({})).toMatchObject({
    model: { revision: bundle.manifest.revision },
    group: 'a',
    hiddenSize: 256,
    holdings: { placementEpoch: 7, held: Buffer.from([3, 3, 3, 3, 3, 3]) },
  });
  client.close();
});
