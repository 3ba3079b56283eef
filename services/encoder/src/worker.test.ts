import { createHash } from 'node:crypto';
import type { Bundle } from '@tessera/bundle';
import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import {
  type ConnectJob,
  connectQueue,
  decodeTensor,
  type EncodeJob,
  encodeQueue,
  type Float32Tensor,
  type MediaSize,
  Modality,
  type TensorRef,
} from '@tessera/protocol';
import { startService } from '@tessera/service';
import { metricValues } from '@tessera/service/testing/metric-values';
import { stageTestbed } from '@tessera/stage/testing/stage-testbed';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { slowSvg } from '@tessera/testing/pictures/slow-svg';
import { beforeAll, expect, test } from 'vitest';
import type { EncoderSettings } from './config.js';
import { encoder } from './start.js';

let bundle: Bundle;
const never = new AbortController().signal;
/** float16 keeps 11 bits of every number; the engine itself is held to 2e-3 of the reference. */
const float16Error = 2 ** -11;

beforeAll(async () => {
  bundle = await demoBundle();
});

/** An encoder's neighbours: what queues jobs for it, and what takes those that it makes. */
async function deployment() {
  const testbed = await stageTestbed(bundle);
  const { bus } = testbed;
  const stop = new AbortController();
  const jobs: ConnectJob[] = [];
  const arrived: (() => void)[] = [];
  const working = bus.work(connectQueue, {
    slots: 4,
    signal: stop.signal,
    handler: async (job) => {
      jobs.push(job);
      for (const wake of arrived.splice(0)) wake();
    },
  });
  return {
    ...testbed,
    jobs,
    start: (settings: Partial<EncoderSettings> = {}) =>
      testbed.start((given) => startService(encoder, { ...given, ...settings })),
    async queue(requestId: string, bytes: Uint8Array, size: MediaSize, changes: Partial<EncodeJob> = {}) {
      const deadlineMs = Date.now() + 60_000;
      const hold = bus.holdMedia(bytes, createHash('sha256').update(bytes).digest('hex'));
      const media = await hold.blob({ deadlineMs });
      const key = { requestId, attempt: 0, item: 0 };
      const job = { key, media, modality: Modality.IMAGE, size, firstTile: 0, tileCount: 1, ...changes };
      await bus.publish(encodeQueue, job, { deadlineMs, deliverTo: testbed.engine });
    },
    /** Resolves once so many connect jobs have come. */
    async untilJobs(count: number) {
      while (jobs.length < count) await new Promise<void>((resolve) => arrived.push(resolve));
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await working;
      await testbed[Symbol.asyncDispose]();
    },
  };
}

/** The samples' size. */
const size = { width: 96, height: 96 };

test('a job becomes a connect job with the features and what was measured', async () => {
  await using stage = await deployment();
  await stage.start();
  await stage.queue('one', samplePicture('apple'), size);
  await stage.untilJobs(1);
  const [job] = stage.jobs;
  expect(job).toMatchObject({ key: { requestId: 'one', attempt: 0, item: 0 }, tile: 0, encoder: { stage: 'encoder' } });
  expect(job?.encoder?.busyMs).toBeGreaterThan(0);
  expect(job?.features?.stored).toBeUndefined();
  const { tensor: features } = await stage.bus.takeTensor(job?.features as TensorRef, never);
  expect(relativeError(features, await goldenTensor('apple.features'))).toBeLessThan(2e-3 + float16Error);
});

test('tiles of different requests share batches, and get what they get alone', async () => {
  await using alone = await deployment();
  await alone.start({ 'batch.max': 1 });
  await using together = await deployment();
  const names = ['apple', 'cat', 'rocket', 'pair'];
  for (const name of names) {
    await alone.queue(name, samplePicture(name), size);
    await together.queue(name, samplePicture(name), size);
  }
  const service = await together.start({ 'batch.max': 4, 'batch.waitMs': 1000 });
  await Promise.all([alone.untilJobs(4), together.untilJobs(4)]);
  const values = await metricValues(service.metrics, 'tessera_batch_size');
  const batches = values.find(({ metricName }) => metricName === 'tessera_batch_size_count')?.value;
  expect(batches).toBe(1);
  const featuresOf = (jobs: readonly ConnectJob[]) =>
    new Map(jobs.map(({ key, features }) => [key?.requestId, decodeTensor(features?.tensor)]));
  const expected = featuresOf(alone.jobs);
  for (const [name, features] of featuresOf(together.jobs)) {
    // By rounding at most, which may be the last digit of a float16: "What is equal to what" in docs/architecture.md.
    expect(relativeError(features, expected.get(name) as Float32Tensor), name).toBeLessThan(1e-4 + float16Error);
  }
});

test('features over the limit of a message travel in parts', async () => {
  await using stage = await deployment();
  await stage.start({ 'nats.partBytes': 4096 });
  await stage.queue('large', samplePicture('cat'), size);
  await stage.untilJobs(1);
  const [job] = stage.jobs;
  // 36 rows of 512 bytes.
  expect(job?.features?.stored?.sequences).toHaveLength(5);
  const { tensor: features } = await stage.bus.takeTensor(job?.features as TensorRef, never);
  expect(relativeError(features, await goldenTensor('cat.features'))).toBeLessThan(2e-3 + float16Error);
});

test('media too large for a message comes in parts', async () => {
  await using stage = await deployment();
  await stage.start();
  const padded = Buffer.concat([samplePicture('apple'), Buffer.alloc(600 * 1024)]);
  await stage.queue('padded', padded, size);
  await stage.untilJobs(1);
  const [job] = stage.jobs;
  const { tensor: features } = await stage.bus.takeTensor(job?.features as TensorRef, never);
  expect(relativeError(features, await goldenTensor('apple.features'))).toBeLessThan(2e-3 + float16Error);
});

test('bad media fails in the place of its tokens, and the next picture is right', async () => {
  await using stage = await deployment();
  await stage.start();
  const whole = samplePicture('apple');
  const outcomes = [
    ['cut', whole.subarray(0, whole.length / 2), size, 'MEDIA_CORRUPT'],
    ['mismatch', whole, { width: 100, height: 100 }, 'MEDIA_CORRUPT'],
    ['text', Buffer.from('this is no picture'), size, 'MEDIA_NOT_RECOGNISED'],
    ['empty', Buffer.alloc(0), size, 'MEDIA_EMPTY'],
  ] as const;
  for (const [requestId, bytes, planned, code] of outcomes) {
    await stage.queue(requestId, bytes, planned);
    expect(await stage.firstOutcome(requestId)).toMatchObject({ kind: 'failure', code, stage: 'encoder', item: 0 });
  }
  await stage.queue('range', whole, size, { tileCount: 2 });
  expect(await stage.firstOutcome('range')).toMatchObject({ code: 'REQUEST_INVALID' });
  for (const missing of ['media', 'size']) {
    await stage.queue(missing, whole, size, { [missing]: undefined });
    expect(await stage.firstOutcome(missing)).toMatchObject({ code: 'REQUEST_INVALID' });
  }
  await stage.queue('kind', whole, size, { modality: Modality.UNSPECIFIED });
  expect(await stage.firstOutcome('kind')).toMatchObject({ code: 'UNSUPPORTED' });

  await stage.queue('good', whole, size);
  await stage.untilJobs(1);
  expect(stage.jobs.map(({ key }) => key?.requestId)).toEqual(['good']);
});

test('drawings made to be slow hold no slots while they wait, and the next picture is encoded', async () => {
  await using stage = await deployment();
  await stage.start({
    'jobs.slots': 2,
    'media.svgProcesses': 1,
    'media.svgCpuMs': 600_000,
  });
  const slow = ['red', 'lime', 'blue'];
  for (const color of slow) await stage.queue(color, slowSvg(color), { width: 2048, height: 2048 });
  await stage.queue('picture', samplePicture('apple'), size);
  await stage.untilJobs(1);
  expect(stage.jobs.map(({ key }) => key?.requestId)).toEqual(['picture']);
  for (const color of slow) await stage.bus.cancel(color);
});

test('a drain in the middle of the work loses no job and does none twice', async () => {
  await using stage = await deployment();
  const bytes = samplePicture('apple');
  const requests = Array.from({ length: 24 }, (_, number) => `drain${number}`);
  for (const requestId of requests) await stage.queue(requestId, bytes, size);
  const leaving = await stage.start({ 'jobs.slots': 2 });
  await stage.untilJobs(3);
  await leaving.stop();
  const done = stage.jobs.length;
  expect(done).toBeLessThan(requests.length);
  await stage.start();
  await stage.untilJobs(requests.length);
  expect(stage.jobs.map(({ key }) => key?.requestId).sort()).toEqual(requests.sort());
});
