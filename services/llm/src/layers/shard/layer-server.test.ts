import type { Bundle } from '@tessera/bundle';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import {
  encodeTensorParts,
  LayerCall,
  LayerPlan,
  LayerServiceDefinition,
  LayerStart,
  type RunRequest,
  type RunResponse,
  type TesseraError,
} from '@tessera/protocol';
import { createClient, type Exchange } from '@tessera/service';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestLayerShard, type TestLayerShard } from '../../testing/layer-shards.js';

const width = 64;
const positions = 1000;

let bundle: Bundle;
let shard: TestLayerShard;

beforeAll(async () => {
  bundle = await smallLlamaBundle('layers=3');
  const layers = bundle.layerPieces.pieces[1]?.layers ?? 0;
  // Keys and values of two heads of 16 numbers, in float32.
  shard = await startTestLayerShard(bundle, 1, { kvBytes: positions * layers * 2 * 2 * 16 * 4 });
});

afterAll(() => shard.stop());

/** A stream to the shard, begun or not. */
function open(start: Partial<LayerStart> | null = {}) {
  const client = createClient(LayerServiceDefinition, shard.address.address);
  const seen: RunResponse['message'][] = [];
  const ended = deferred<TesseraError | undefined>();
  const stream: Exchange<RunRequest> = client.exchange(LayerServiceDefinition.methods.run, {
    onMessage: ({ message }) => {
      // As a sign of life it comes again, or not.
      if (message?.$case !== 'holdings' || seen.length === 0) seen.push(message);
    },
    onEnd: (error) => ended.resolve(error),
  });
  if (start !== null) {
    const { revision } = bundle.manifest;
    const value = { revision, piece: 1, slots: 4, maxPositions: 128, positions: 400n, ...start };
    stream.send({ message: { $case: 'start', value: LayerStart.fromPartial(value) } });
  }
  const answers = (count: number) => eventually(() => seen.length === count, `${count} answers have come`);
  const close = async (): Promise<void> => {
    stream.end();
    await ended.promise;
    client.close();
  };
  return { seen, stream, answers, ended: ended.promise, [Symbol.asyncDispose]: close };
}

const plan = (changes: Partial<LayerPlan> = {}): RunRequest => ({
  message: { $case: 'plan', value: LayerPlan.fromPartial({ step: 1, slots: 2, positions: 64, ...changes }) },
});

function* call(
  rows: LayerCall['rows'],
  count: number,
  as: 'float32' | 'float16' = 'float32',
  id = 2,
): Generator<RunRequest> {
  const data = Float32Array.from({ length: count * width }, (_, i) => Math.sin(i));
  let first = true;
  for (const hidden of encodeTensorParts({ dtype: 'float32', shape: [count, width], data }, as)) {
    const value = LayerCall.fromPartial({ call: id, rows: first ? rows : [], hidden });
    yield { message: { $case: 'call', value } };
    first = false;
  }
}

const row = (slot: number, position: number, count: number) => ({ slot, position, count });

test('says what it holds first, then carries out plans and calls in order; an engine’s positions are its own', async () => {
  expect(shard.shard.holdings).toMatchObject({ piece: 1, positions: 1000n, freePositions: 1000n, draining: false });
  await using to = open();
  to.stream.send(plan());
  for (const message of call([row(0, 0, 3), row(1, 0, 2)], 5)) to.stream.send(message);
  for (const message of call([row(0, 3, 1)], 1, 'float16', 3)) to.stream.send(message);
  await to.answers(4);
  expect(to.seen).toMatchObject([
    { $case: 'holdings', value: { piece: 1, freePositions: 600n } },
    { $case: 'planned', value: { step: 1, noMemory: '' } },
    { $case: 'result', value: { call: 2, hidden: { shape: [5, width], last: true } } },
    { $case: 'result', value: { call: 3, hidden: { shape: [1, width], data: { length: 2 * width } } } },
  ]);
  expect(shard.shard.cacheBytes).toBeGreaterThan(0);
  to.stream.end();
  await to.ended;
  await eventually(() => shard.shard.holdings.freePositions === 1000n, 'the positions are free again');
  expect(shard.shard.cacheBytes).toBe(0);
});

test.each<[string, Partial<LayerStart>, object]>([
  ['another revision', { revision: 'ffffffffffff' }, { code: 'MODEL_NOT_FOUND', field: 'start.revision' }],
  [
    'another piece',
    { piece: 2 },
    { code: 'MODEL_NOT_FOUND', message: expect.stringContaining('piece 1; the engine looks for piece 2') },
  ],
  [
    'more than there is',
    { positions: 1001n },
    { code: 'QUEUE_FULL', message: expect.stringMatching(/1000 left of 1000; set the shard's kv.maxBytes to \d+/) },
  ],
  ['no slots', { slots: 0 }, { code: 'REQUEST_INVALID', field: 'start.slots' }],
  ['more than the context', { maxPositions: 513 }, { code: 'REQUEST_INVALID', field: 'start.max_positions' }],
])('an engine of %s is refused', async (_, start, expected) => {
  await using to = open(start);
  expect(await to.ended).toMatchObject(expected);
  expect(shard.shard.holdings.freePositions).toBe(1000n);
});

test('two engines have caches of their own, and a third finds no room', async () => {
  const prompt = [row(0, 0, 4)];
  const results: unknown[] = [];
  await using one = open();
  await using two = open();
  for (const engine of [one, two]) {
    engine.stream.send(plan());
    for (const message of call(prompt, 4)) engine.stream.send(message);
    for (const message of call([row(0, 4, 1)], 1, 'float32', 3)) engine.stream.send(message);
  }
  for (const engine of [one, two]) {
    await engine.answers(4);
    results.push(engine.seen[3]);
  }
  expect(results[1]).toEqual(results[0]);
  await using three = open();
  expect(await three.ended).toMatchObject({ code: 'QUEUE_FULL', message: expect.stringContaining('200 left of 1000') });
  // One that asks for all that is left finds it.
  await using four = open({ positions: 200n });
  await four.answers(1);
  expect(four.seen).toMatchObject([{ $case: 'holdings', value: { freePositions: 0n } }]);
});

test.each<[string, RunRequest[], object]>([
  ['a slot that is not there', [...call([row(2, 0, 1)], 1)], { code: 'REQUEST_INVALID' }],
  ['positions that are not there', [...call([row(0, 63, 2)], 2)], { code: 'REQUEST_INVALID' }],
  ['slots that do not lie side by side', [...call([row(1, 5, 1), row(0, 5, 1)], 2)], { code: 'REQUEST_INVALID' }],
  ['a row of nothing', [...call([row(0, 0, 1), row(1, 0, 0)], 1)], { code: 'REQUEST_INVALID' }],
  ['fewer hidden states than rows', [...call([row(0, 0, 3)], 2)], { code: 'TENSOR_INVALID' }],
])('%s: the call fails by a code of the table, and the stream goes on', async (_, messages, expected) => {
  await using to = open();
  to.stream.send(plan());
  for (const message of messages) to.stream.send(message);
  for (const message of call([row(0, 0, 1)], 1, 'float32', 9)) to.stream.send(message);
  await to.answers(4);
  expect(to.seen[2]).toMatchObject({ $case: 'failure', value: { call: 2, ...expected } });
  expect(to.seen[3]).toMatchObject({ $case: 'result', value: { call: 9 } });
});

test.each<[string, RunRequest, object]>([
  ['a plan beyond the start', plan({ slots: 4, positions: 128 }), { code: 'REQUEST_INVALID', field: 'plan' }],
  [
    'more kept than the start says',
    plan({
      operations: Array.from({ length: 9 }, (_, prefix) => ({
        change: { $case: 'keep' as const, value: { prefix, slot: 0, rows: 64 } },
      })),
    }),
    { code: 'REQUEST_INVALID', field: 'plan' },
  ],
  ['more slots than the start says', plan({ slots: 5, positions: 16 }), { field: 'plan.slots' }],
  ['longer slots than the start says', plan({ slots: 1, positions: 129 }), { field: 'plan.slots' }],
  [
    'slots and what is kept beyond the start together',
    plan({
      slots: 4,
      positions: 64,
      operations: [0, 1, 2].map((prefix) => ({ change: { $case: 'keep', value: { prefix, slot: 0, rows: 60 } } })),
    }),
    { code: 'REQUEST_INVALID', field: 'plan' },
  ],
  [
    'a swap beyond the start',
    plan({ operations: [{ change: { $case: 'swap', value: { a: 0, b: 1, rows: 1 << 30 } } }] }),
    { code: 'REQUEST_INVALID', field: 'plan.operations[0]' },
  ],
  [
    'a copy from a slot that is not there',
    plan({ operations: [{ change: { $case: 'copy', value: { from: 9, to: 1, rows: 1 } } }] }),
    { code: 'REQUEST_INVALID', field: 'plan.operations[0]' },
  ],
  [
    'a load into a slot that the plan has not',
    plan({ loads: [{ change: { $case: 'copy', value: { from: 0, to: 2, rows: 1 } } }] }),
    { code: 'REQUEST_INVALID', field: 'plan.loads[0]' },
  ],
  [
    'more positions than the cache has',
    { message: [...call([row(0, 0, 500)], 1)][0]?.message },
    { code: 'REQUEST_INVALID', field: 'call.rows' },
  ],
  ['a message that is none', { message: undefined }, { code: 'REQUEST_INVALID', field: 'message' }],
  ['a second start', { message: { $case: 'start', value: LayerStart.fromPartial({}) } }, { code: 'REQUEST_INVALID' }],
])('%s ends the stream', async (_, message, expected) => {
  await using to = open();
  to.stream.send(plan());
  to.stream.send(message);
  expect(await to.ended).toMatchObject(expected);
});

test('a stream begins with a start, and parts of one call are not mixed with another’s', async () => {
  await using unbegun = open(null);
  unbegun.stream.send(plan());
  expect(await unbegun.ended).toMatchObject({ code: 'REQUEST_INVALID', field: 'start' });
  await using mixed = open();
  mixed.stream.send(plan());
  const [first] = call([row(0, 0, 40), row(1, 0, 40)], 80);
  const begun = first?.message as { value: LayerCall };
  const hidden = { ...begun.value.hidden, last: false } as NonNullable<LayerCall['hidden']>;
  mixed.stream.send({ message: { $case: 'call', value: { ...begun.value, hidden } } });
  mixed.stream.send({ message: { $case: 'call', value: LayerCall.fromPartial({ call: 77, hidden: { last: true } }) } });
  expect(await mixed.ended).toMatchObject({ code: 'REQUEST_INVALID', field: 'call.call' });
});

test('Describe says what is held', async () => {
  const client = createClient(LayerServiceDefinition, shard.address.address);
  expect(await client.describe({})).toMatchObject({
    model: { revision: bundle.manifest.revision },
    hiddenSize: width,
    holdings: { piece: 1, firstLayer: 1, positions: 1000n },
  });
  client.close();
});
