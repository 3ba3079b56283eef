import type { Bundle } from '@tessera/bundle';
import type { Bus, BusLimits } from '@tessera/bus';
import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { BatchedGraph, createSession } from '@tessera/inference';
import {
  type ConnectJob,
  connectQueue,
  encodeTensor,
  type Float32Tensor,
  type TensorRef,
  TesseraError,
  tensor,
} from '@tessera/protocol';
import { startService } from '@tessera/service';
import { metricValues } from '@tessera/service/testing/metric-values';
import { stageTestbed } from '@tessera/stage/testing/stage-testbed';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { beforeAll, expect, test, vi } from 'vitest';
import type { ConnectorSettings } from './config.js';
import { connectorPorts } from './graph.js';
import { connector } from './start.js';
import { connectJobHandler } from './worker.js';

// By rounding at most: see "What is equal to what" in docs/architecture.md.
const rounding = 1e-4;

let bundle: Bundle;
/** The engine is held to 2e-3 of the reference; features and tokens are rounded to float16's 11 bits on their way. */
const tolerance = 2e-3 + 2 * 2 ** -11;
const encoderTiming = { stage: 'encoder', queueMs: 1, busyMs: 2, endedAtMs: 3 };

beforeAll(async () => {
  bundle = await demoBundle();
});

/** A connector's neighbours: what queues jobs for it, and what reads its tokens. */
async function deployment(limits: Partial<BusLimits> = {}) {
  const testbed = await stageTestbed(bundle, limits);
  return {
    ...testbed,
    start: (settings: Partial<ConnectorSettings> = {}) =>
      testbed.start((given) => startService(connector, { ...given, ...settings })),
    async queue(requestId: string, features: TensorRef | undefined, changes: Partial<ConnectJob> = {}) {
      const key = { requestId, attempt: 0, item: 0 };
      const job: ConnectJob = { key, tile: 0, features, encoder: encoderTiming, ...changes };
      await testbed.bus.publish(connectQueue, job, { deadlineMs: Date.now() + 60_000, deliverTo: testbed.engine });
    },
    async tokensOf(requestId: string): Promise<Float32Tensor> {
      const outcome = await testbed.firstOutcome(requestId);
      if (outcome?.kind !== 'tensor') throw new Error(`no tokens: ${JSON.stringify(outcome)}`);
      return outcome.tensor;
    },
  };
}

const inline = (features: Float32Tensor): TensorRef => ({
  tensor: encodeTensor(features, 'float16'),
  stored: undefined,
});

test('a job becomes visual tokens, with what both stages measured', async () => {
  await using stage = await deployment();
  await stage.start();
  await stage.queue('one', inline(await goldenTensor('apple.features')));
  const outcome = await stage.firstOutcome('one');
  expect(outcome).toMatchObject({
    kind: 'tensor',
    item: 0,
    tile: 0,
    timings: [encoderTiming, { stage: 'connector', busyMs: expect.any(Number), endedAtMs: expect.any(Number) }],
  });
  expect(relativeError(await stage.tokensOf('one'), await goldenTensor('apple.visual_tokens'))).toBeLessThan(tolerance);
  await stage.queue('alone', inline(await goldenTensor('apple.features')), { encoder: undefined });
  const alone = await stage.firstOutcome('alone');
  expect(alone?.kind === 'tensor' && alone.timings.map((timing) => timing.stage)).toEqual(['connector']);
});

test('features and tokens over the limit of a message travel in parts', async () => {
  await using stage = await deployment({ partBytes: 4096 });
  await stage.start({ 'nats.partBytes': 1024 });
  const key = { requestId: 'parts', attempt: 0, item: 0 };
  const features = await goldenTensor('cat.features');
  const reference = await stage.bus.storeTensor(key, 0, features, { deadlineMs: Date.now() + 60_000 });
  expect(reference.stored?.sequences).toHaveLength(5);
  await stage.queue('parts', reference);
  await stage.queue('inline', inline(features));
  const tokens = await stage.tokensOf('parts');
  expect(relativeError(tokens, await goldenTensor('cat.visual_tokens'))).toBeLessThan(tolerance);
  expect(relativeError(tokens, await stage.tokensOf('inline'))).toBeLessThan(rounding);
});

test('tiles of different requests share batches, and get what they get alone', async () => {
  const names = ['apple', 'cat', 'rocket', 'pair'];
  const run = async (settings: Partial<ConnectorSettings>) => {
    await using stage = await deployment();
    for (const name of names) await stage.queue(name, inline(await goldenTensor(`${name}.features`)));
    const service = await stage.start(settings);
    const tokens = await Promise.all(names.map((name) => stage.tokensOf(name)));
    const values = await metricValues(service.metrics, 'tessera_batch_size');
    return { tokens, batches: values.find(({ metricName }) => metricName === 'tessera_batch_size_count')?.value };
  };
  const alone = await run({ 'batch.max': 1 });
  const together = await run({ 'batch.max': 4, 'batch.waitMs': 1000 });
  expect([alone.batches, together.batches]).toEqual([4, 1]);
  for (const [at, tokens] of together.tokens.entries()) {
    expect(relativeError(tokens, alone.tokens[at] as Float32Tensor)).toBeLessThan(rounding);
  }
});

test('bad features fail in the place of the tokens, and the next tile is right', async () => {
  await using stage = await deployment();
  await stage.start();
  const good = await goldenTensor('apple.features');
  await stage.queue('shape', inline(tensor('float32', [18, 256], good.data.slice(0, 18 * 256))));
  expect(await stage.firstOutcome('shape')).toMatchObject({
    kind: 'failure',
    code: 'TENSOR_INVALID',
    stage: 'connector',
    message: 'features must be [36, 256], not [18, 256]',
  });
  const cut = encodeTensor(good, 'float16');
  await stage.queue('bytes', { tensor: { ...cut, data: cut.data.subarray(2) }, stored: undefined });
  expect(await stage.firstOutcome('bytes')).toMatchObject({ kind: 'failure', code: 'TENSOR_INVALID' });
  await stage.queue('nowhere', { tensor: undefined, stored: undefined });
  expect(await stage.firstOutcome('nowhere')).toMatchObject({ kind: 'failure', code: 'TENSOR_INVALID' });
  await stage.queue('nothing', undefined);
  expect(await stage.firstOutcome('nothing')).toMatchObject({ kind: 'failure', code: 'REQUEST_INVALID' });

  await stage.queue('good', inline(good));
  expect(relativeError(await stage.tokensOf('good'), await goldenTensor('apple.visual_tokens'))).toBeLessThan(
    tolerance,
  );
});

test('features whose parts are gone are tried again, and then given up by name', async () => {
  await using stage = await deployment();
  await stage.start();
  const { tensor: features } = inline(await goldenTensor('apple.features'));
  await stage.queue('gone', { tensor: features, stored: { shard: 0, name: 'gone', sequences: [7n, 8n] } });
  expect(await stage.firstOutcome('gone')).toMatchObject({ kind: 'failure', code: 'DELIVERY_EXHAUSTED' });
});

/** Does a deployment's connect jobs in this process. */
async function workerOf(bus: Bus) {
  const model = bundle.stage('connector');
  const session = await createSession(bundle.file(model.graph), { threads: 1, device: 'cpu' });
  // Whoever waits for a tile that was announced waits for ever here.
  const limits = { what: 'tiles', maxBatch: 8, waitMs: 2 ** 31 - 1, maxWaiting: 8 };
  const tiles = new BatchedGraph(session, { ...connectorPorts(model), ...limits });
  const stop = new AbortController();
  const working = bus.work(connectQueue, { slots: 4, signal: stop.signal, handler: connectJobHandler(bus, tiles) });
  return {
    /** Finishes what is at work. */
    async [Symbol.asyncDispose]() {
      stop.abort();
      await working;
      await tiles.close();
      await session.release();
    },
  };
}

test('a tile whose features cannot be read is no longer waited for', async () => {
  await using stage = await deployment({ retryDelayMs: 1 });
  await using _worker = await workerOf(stage.bus);
  const { tensor: features } = inline(await goldenTensor('apple.features'));
  await stage.queue('gone', { tensor: features, stored: { shard: 0, name: 'gone', sequences: [7n, 8n] } });
  expect(await stage.firstOutcome('gone')).toMatchObject({ kind: 'failure', code: 'DELIVERY_EXHAUSTED' });
  await stage.queue('good', { tensor: features, stored: undefined });
  expect(relativeError(await stage.tokensOf('good'), await goldenTensor('apple.visual_tokens'))).toBeLessThan(
    tolerance,
  );
});

test('features in parts stay until their tokens are sent, and are gone with the job', async () => {
  await using stage = await deployment({ partBytes: 4096, retryDelayMs: 1 });
  const key = { requestId: 'parts', attempt: 0, item: 0 };
  const deadlineMs = Date.now() + 60_000;
  const reference = await stage.bus.storeTensor(key, 0, await goldenTensor('cat.features'), { deadlineMs });
  const publish = vi.spyOn(stage.bus, 'send');
  publish.mockRejectedValueOnce(new TesseraError('STAGE_UNAVAILABLE', 'the stream is away'));
  {
    await using _worker = await workerOf(stage.bus);
    await stage.queue('parts', reference);
    expect(relativeError(await stage.tokensOf('parts'), await goldenTensor('cat.visual_tokens'))).toBeLessThan(
      tolerance,
    );
  }
  expect(publish).toHaveBeenCalledTimes(2);
  await expect(stage.bus.takeTensor(reference, new AbortController().signal)).rejects.toMatchObject({
    code: 'STAGE_UNAVAILABLE',
  });
});

test('two connectors share the queue, and one may leave in the middle', async () => {
  await using stage = await deployment();
  const features = inline(await goldenTensor('apple.features'));
  const requests = Array.from({ length: 24 }, (_, number) => `drain${number}`);
  const leaving = await stage.start({ 'jobs.slots': 1 });
  await stage.start({ 'jobs.slots': 1 });
  for (const requestId of requests) await stage.queue(requestId, features);
  await stage.tokensOf('drain0');
  await leaving.stop();
  const [first, ...others] = await Promise.all(requests.map((requestId) => stage.tokensOf(requestId)));
  for (const tokens of others) expect(relativeError(tokens, first as Float32Tensor)).toBeLessThan(rounding);
});
