import type { Bundle } from '@tessera/bundle';
import type { StageFailure } from '@tessera/bus';
import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import {
  type DrawingEvent,
  type DrawOptions,
  drawingEvents,
  encodeTensor,
  type Float32Tensor,
  type GenerateJob,
  generateQueue,
  tensor,
} from '@tessera/protocol';
import { startService } from '@tessera/service';
import { metricValues } from '@tessera/service/testing/metric-values';
import { stageTestbed } from '@tessera/stage/testing/stage-testbed';
import { beforeAll, expect, test } from 'vitest';
import type { GeneratorSettings } from './config.js';
import { generator } from './start.js';
import { isReported } from './worker.js';

let bundle: Bundle;
let condition: Float32Tensor;

beforeAll(async () => {
  bundle = await demoBundle();
  condition = await goldenTensor('text.2.condition');
});

/** A generator's neighbours: what queues jobs for it, and what reads its events. */
async function deployment() {
  const testbed = await stageTestbed(bundle);
  const { bus } = testbed;
  const inbox = await bus.openInbox(drawingEvents);
  const heard = new Map<
    string,
    { events: (DrawingEvent | StageFailure)[]; news: AsyncIterator<DrawingEvent | StageFailure> }
  >();
  return {
    ...testbed,
    start: (settings: Partial<GeneratorSettings> = {}) =>
      testbed.start((given) => startService(generator, { ...given, ...settings })),
    async queue(requestId: string, options: Partial<DrawOptions> = {}, changes: Partial<GenerateJob> = {}) {
      const key = { requestId, attempt: 0, item: 0 };
      const job = {
        key,
        condition: encodeTensor(condition, 'float32'),
        options: { steps: 3, seed: 1n, ...options },
        ...changes,
      };
      await bus.publish(generateQueue, job, { deadlineMs: Date.now() + 60_000, deliverTo: inbox.address });
    },
    /** What comes for a request, from the first event; may be called again. */
    async *events(requestId: string): AsyncGenerator<DrawingEvent | StageFailure> {
      const known = heard.get(requestId) ?? {
        events: [],
        news: inbox.receive(requestId, testbed.signal)[Symbol.asyncIterator](),
      };
      heard.set(requestId, known);
      for (let at = 0; ; at++) {
        if (at === known.events.length) {
          const next = await known.news.next();
          if (next.done === true) return;
          known.events.push(next.value);
        }
        yield known.events[at] as DrawingEvent | StageFailure;
      }
    },
    async firstOutcome(requestId: string): Promise<DrawingEvent | StageFailure | undefined> {
      for await (const outcome of this.events(requestId)) return outcome;
      return undefined;
    },
    /** Every event up to the picture's last part. */
    async drawing(requestId: string): Promise<DrawingEvent[]> {
      const events: DrawingEvent[] = [];
      for await (const event of this.events(requestId)) {
        if ('kind' in event) throw new Error(`no picture: ${JSON.stringify(event)}`);
        events.push(event);
        if (event.event?.$case === 'picturePart' && event.event.value.last) return events;
      }
      return events;
    },
  };
}

const parts = (events: readonly DrawingEvent[]) =>
  events.flatMap(({ event }) => (event?.$case === 'picturePart' ? [event.value] : []));
const file = (events: readonly DrawingEvent[]) => Buffer.concat(parts(events).map(({ data }) => data));

test('a job becomes progress, and then a PNG in parts; the last event says what it took', async () => {
  await using stage = await deployment();
  await stage.start({ 'nats.partBytes': 4096 });
  await stage.queue('one');
  const events = await stage.drawing('one');
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, at) => at));
  expect(events.slice(0, 3).map(({ event }) => event)).toMatchObject(
    [1, 2, 3].map((step) => ({ $case: 'progress', value: { step, steps: 3 } })),
  );
  const picture = parts(events);
  expect(picture.length).toBeGreaterThan(1);
  expect(picture.length).toBe(events.length - 3);
  for (const [at, part] of picture.entries()) {
    expect(part).toMatchObject({ mimeType: 'image/png', last: at === picture.length - 1 });
    expect(part.data.length).toBeLessThanOrEqual(4096);
  }
  const png = file(events);
  expect(png.subarray(1, 4).toString()).toBe('PNG');
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([96, 96]);
  expect(events.map(({ timing }) => timing?.stage)).toEqual([...Array(events.length - 1).fill(undefined), 'generator']);
});

test('drawings of different requests share steps; a seed gives the same file alone and in company', async () => {
  const seeds = [5n, 6n, 7n, 5n];
  const run = async (settings: Partial<GeneratorSettings>) => {
    await using stage = await deployment();
    for (const [at, seed] of seeds.entries()) await stage.queue(`request${at}`, { seed, steps: 2 + (at % 3) });
    const service = await stage.start(settings);
    const files = [];
    for (const at of seeds.keys()) files.push(file(await stage.drawing(`request${at}`)));
    const values = await metricValues(service.metrics, 'tessera_batch_size');
    const value = (of: string) =>
      values.find(({ metricName }) => metricName === `tessera_batch_size_${of}`)?.value ?? 0;
    return { files, meanBatch: value('sum') / value('count') };
  };
  const alone = await run({ 'batch.max': 1 });
  const together = await run({ 'batch.max': 4 });
  expect(alone.meanBatch).toBe(1);
  expect(together.meanBatch).toBeGreaterThan(1.5);
  expect(together.files).toEqual(alone.files);
  expect(alone.files[0]).not.toEqual(alone.files[1]);
});

test('a cancel stops a drawing at its next step, and the place is free for another', async () => {
  await using stage = await deployment();
  const service = await stage.start({ 'batch.max': 1, 'jobs.slots': 1 });
  await stage.queue('cancelled', { steps: 200 });
  await stage.firstOutcome('cancelled');
  await stage.bus.cancel('cancelled');
  await stage.queue('next');
  expect(parts(await stage.drawing('next')).length).toBe(1);
  const steps = await metricValues(service.metrics, 'tessera_denoise_steps_total');
  expect(steps[0]?.value).toBeLessThan(200);
  const outcomes = await metricValues(service.metrics, 'tessera_jobs_total');
  expect(outcomes).toContainEqual({ labels: { kind: 'generate', outcome: 'cancelled' }, value: 1 });
});

test.each<[string, string, Partial<DrawOptions>, Partial<GenerateJob>]>([
  ['too many steps', 'REQUEST_INVALID', { steps: 201 }, {}],
  ['guidance out of range', 'REQUEST_INVALID', { guidance: -1 }, {}],
  ['no seed', 'REQUEST_INVALID', { seed: undefined }, {}],
  ['no condition', 'TENSOR_INVALID', {}, { condition: undefined }],
  [
    'a condition of another width',
    'TENSOR_INVALID',
    {},
    { condition: encodeTensor(tensor('float32', [2, 8], new Float32Array(16)), 'float32') },
  ],
])('%s fails in the place of the picture, and the next is drawn', async (_, code, options, changes) => {
  await using stage = await deployment();
  await stage.start();
  await stage.queue('bad', options, changes);
  expect(await stage.firstOutcome('bad')).toMatchObject({ kind: 'failure', code, stage: 'generator', item: 0 });
  await stage.queue('good');
  expect(parts(await stage.drawing('good')).length).toBe(1);
});

test('a drain finishes the drawing under way; what waits goes to another generator', async () => {
  await using stage = await deployment();
  const leaving = await stage.start({ 'jobs.slots': 1 });
  for (const requestId of ['first', 'second', 'third']) await stage.queue(requestId, { steps: 12 });
  await stage.firstOutcome('first');
  await leaving.stop();
  const values = await metricValues(leaving.metrics, 'tessera_drawings_total');
  expect(values[0]?.value).toBeLessThan(3);
  await stage.start();
  const files = [];
  for (const requestId of ['first', 'second', 'third']) files.push(file(await stage.drawing(requestId)));
  expect(files[1]).toEqual(files[0]);
  expect(files[2]).toEqual(files[0]);
});

test('progress is told at the first and last step and at most some twenty times between', () => {
  const reported = (steps: number) =>
    Array.from({ length: steps }, (_, at) => at + 1).filter((step) => isReported(step, steps));
  expect(reported(1)).toEqual([1]);
  expect(reported(3)).toEqual([1, 2, 3]);
  expect(reported(20)).toHaveLength(20);
  const many = reported(200);
  expect(many).toHaveLength(21);
  expect([many[0], many.at(-1)]).toEqual([1, 200]);
});
