// Threads run built JavaScript, so the service under test is the built one.

import { readBundle } from '@tessera/bundle';
import { Bus } from '@tessera/bus';
import { demoBundleDir, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { llm } from '@tessera/llm';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  encodeQueue,
  FinishReason,
  GenerateRequest,
  type GenerateResponse,
  generateQueue,
  type JobKey,
  LlmServiceDefinition,
  type PromptMessage,
  Stage,
  TesseraError,
  TextOptions,
  visualTokens,
  WeightFormat,
} from '@tessera/protocol';
import { createClient, type RunningService, startService, type TesseraClient } from '@tessera/service';
import { goldenCase } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asked, user, wholePicture } from './testing/demo-engine.js';

let nats: NatsServer;
let bus: Bus;
let service: RunningService;
let client: TesseraClient<typeof LlmServiceDefinition>;
let revision: string;
/** Where visual tokens for the engine are sent. */
let inbox: string;
let nextId = 0;

const start = (tileTimeoutMs = 30_000) =>
  demoBundleDir().then((dir) =>
    startService(llm, {
      'model.dir': dir,
      'nats.url': nats.url,
      'log.level': 'silent',
      'engine.maxRunning': 4,
      'engine.maxWaiting': 1,
      'engine.tileTimeoutMs': tileTimeoutMs,
    }),
  );

beforeAll(async () => {
  nats = await startNatsServer();
  revision = (await readBundle(await demoBundleDir())).manifest.revision;
  bus = await Bus.connect({ url: nats.url, prefix: 'tessera', revision, name: 'test' });
  await bus.setup();
  service = await start();
  inbox = await inboxOf(service.grpcAddress);
  client = createClient(LlmServiceDefinition, service.grpcAddress);
});

afterAll(async () => {
  client?.close();
  await service?.stop();
  await bus?.close();
  await nats?.stop();
});

const request = (messages: PromptMessage[], rest: Partial<GenerateRequest> = {}): GenerateRequest =>
  GenerateRequest.fromPartial({ requestId: `service-${nextId++}`, attempt: 1, prompt: asked(...messages), ...rest });

const long = (): GenerateRequest =>
  request([user('Hello!')], { text: TextOptions.fromPartial({ maxTokens: 1500, temperature: 50, seed: 1n }) });

type Event = NonNullable<GenerateResponse['event']>;

async function collect(responses: AsyncIterable<GenerateResponse>) {
  const events: Event[] = [];
  let error: TesseraError | undefined;
  try {
    for await (const { event } of responses) if (event !== undefined) events.push(event);
  } catch (reason) {
    error = reason as TesseraError;
  }
  const tokens = events.flatMap((event) => (event.$case === 'tokens' ? [event.value] : []));
  return {
    events,
    kinds: events.map(({ $case }) => $case).filter((kind, index, all) => kind !== all[index - 1]),
    ids: tokens.flatMap(({ tokenIds }) => tokenIds),
    text: tokens.map(({ text }) => text).join(''),
    error,
  };
}

async function publishPicture(key: JobKey, name: string, deliverTo = inbox): Promise<void> {
  const tokens = await goldenTensor(`${name}.visual_tokens`);
  if (tokens === undefined) throw new Error(`no picture ${name}`);
  const timings = [{ stage: 'encoder', queueMs: 1, busyMs: 2, endedAtMs: 3 }];
  await bus.send(
    visualTokens,
    { key, tile: 0, tensor: tokens, timings },
    { deadlineMs: Date.now() + 30_000, deliverTo },
  );
}

/** What the engine says of itself, once it says what is waited for. */
async function engines(until: (running: number, draining: boolean) => boolean): Promise<void> {
  const controller = new AbortController();
  const directory = bus.watchEngines(controller.signal);
  while (!directory.list().some((engine) => until(engine.running, engine.draining))) {
    await directory.changed(1000, controller.signal);
  }
  controller.abort();
}

/** The inbox that the engine at an address announces. */
async function inboxOf(address: string): Promise<string> {
  const controller = new AbortController();
  const directory = bus.watchEngines(controller.signal);
  for (;;) {
    const engine = directory.list().find((other) => other.address === address);
    if (engine !== undefined) {
      controller.abort();
      return engine.inbox;
    }
    await directory.changed(1000, controller.signal);
  }
}

async function metric(name: string): Promise<number> {
  const page = await (await fetch(`http://${service.metricsAddress}/metrics`)).text();
  return Number(page.match(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm'))?.[1]);
}

test('describes the model and its limits', async () => {
  expect(await client.describe({})).toMatchObject({
    model: { name: 'demo', revision, weights: WeightFormat.FLOAT32 },
    contextTokens: 2048,
    maxRunning: 4,
    maxWaiting: 1,
    hiddenSize: 256,
  });
});

test('visual tokens come over NATS, before or after the request', async () => {
  const { question, output_ids, answer } = goldenCase('apple.0');
  const ask = () => request([user(0, question)], { media: [wholePicture] });
  const late = ask();
  const lateAnswer = collect(client.generate(late));
  await publishPicture({ requestId: late.requestId, attempt: 1, item: 0 }, 'apple');
  const early = ask();
  await publishPicture({ requestId: early.requestId, attempt: 1, item: 0 }, 'apple');
  for (const { error, ids, text, kinds, events } of [await lateAnswer, await collect(client.generate(early))]) {
    expect(error).toBeUndefined();
    expect(ids).toEqual(output_ids);
    expect(text).toBe(answer);
    expect(kinds[0]).toBe('admitted');
    expect(kinds.at(-1)).toBe('finished');
    expect(events.find(({ $case }) => $case === 'segmentArrived')?.value).toMatchObject({
      tokenCount: 9,
      timings: [{ stage: Stage.ENCODER, busy: { nanos: 2_000_000 }, endTime: new Date(3) }],
    });
    expect(events.at(-1)?.value).toMatchObject({ reason: FinishReason.END, tokenCount: output_ids.length });
  }
});

test('a missing tile is asked for, and taken under the higher attempt; else the deadline ends the request', async () => {
  const impatient = await start(200);
  const other = createClient(LlmServiceDefinition, impatient.grpcAddress);
  const elsewhere = await inboxOf(impatient.grpcAddress);
  const { question, output_ids } = goldenCase('cat.0');
  const slow = request([user(0, question)], { media: [wholePicture] });
  const kinds: string[] = [];
  const ids: number[] = [];
  for await (const { event } of other.generate(slow)) {
    kinds.push(event?.$case ?? '');
    const key = { requestId: slow.requestId, attempt: 2, item: 0 };
    if (event?.$case === 'segmentNeeded') await publishPicture(key, 'cat', elsewhere);
    if (event?.$case === 'tokens') ids.push(...event.value.tokenIds);
  }
  expect(kinds).toContain('segmentNeeded');
  expect(ids).toEqual(output_ids);

  const lost = request([user(0, question)], { media: [wholePicture] });
  const never = await collect(other.generate(lost, { timeoutMs: 1000 }));
  expect(never.error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  other.close();
  await impatient.stop();
});

test('a failure of the encoder takes the place of the tokens', async () => {
  const broken = request([user(0, 'What is this?')], { media: [wholePicture] });
  const answer = collect(client.generate(broken));
  const key = { requestId: broken.requestId, attempt: 1, item: 0 };
  const error = new TesseraError('MEDIA_CORRUPT', 'the picture ends too early');
  await bus.publishFailure(encodeQueue, key, 0, error, { deadlineMs: Date.now() + 10_000, deliverTo: inbox });
  expect((await answer).error).toMatchObject({
    code: 'MEDIA_CORRUPT',
    message: 'the picture ends too early',
    options: { field: 'media[0]' },
  });
});

test('a drawing is on the generate queue before the client hears of it', async () => {
  const { question, output_ids, answer } = goldenCase('text.2');
  const draw = { steps: 3, guidance: 2, seed: 5n };
  const asked = request([user(question)], { draw, drawingsTo: '0-nobodywaits' });
  const { ids, text, kinds } = await collect(client.generate(asked));
  expect(ids).toEqual(output_ids);
  expect(text).toBe(answer.replace('<|gen_start|>', ''));
  expect(kinds).toContain('drawingQueued');
  const controller = new AbortController();
  const jobs: unknown[] = [];
  await bus.work(generateQueue, {
    slots: 1,
    signal: controller.signal,
    handler: async (job) => {
      jobs.push(job);
      controller.abort();
    },
  });
  expect(jobs).toMatchObject([
    {
      key: { requestId: asked.requestId, attempt: 1, item: 0 },
      condition: { shape: [16, 256] },
      options: { steps: 3, guidance: 2, seed: 5n },
    },
  ]);
});

test('bad requests and a deadline of a millisecond get their error, and the next request is right', async () => {
  const refused: [GenerateRequest, string][] = [
    [request([]), 'PROMPT_EMPTY'],
    [request([user('word '.repeat(5000))]), 'PROMPT_TOO_LONG'],
    [request([user(7)]), 'REQUEST_INVALID'],
    [request([user('a')], { requestId: '' }), 'REQUEST_INVALID'],
  ];
  for (const [bad, code] of refused) expect((await collect(client.generate(bad))).error?.code).toBe(code);
  const late = await collect(client.generate(long(), { timeoutMs: 1 }));
  expect(late.error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  const { question, output_ids } = goldenCase('text.0');
  expect((await collect(client.generate(request([user(question)])))).ids).toEqual(output_ids);
});

test('a client that leaves, and a cancel over NATS, free the engine', async () => {
  for await (const { event } of client.generate(long())) if (event?.$case === 'tokens') break;
  const cancelled = long();
  const answer = collect(client.generate(cancelled));
  await engines((running) => running > 0);
  await bus.cancel(cancelled.requestId);
  expect((await answer).error).toMatchObject({ code: 'CANCELLED' });
  await engines((running) => running === 0);
});

test('one more than run and wait is refused with a delay', async () => {
  const left = new AbortController();
  const running = Array.from({ length: 5 }, () => collect(client.generate(long(), { signal: left.signal })));
  let refused = await collect(client.generate(request([user('Hello!')])));
  // The five are on their way: until the last has arrived there is room.
  while (refused.error === undefined) refused = await collect(client.generate(request([user('Hello!')])));
  expect(refused.error).toMatchObject({ code: 'QUEUE_FULL' });
  expect(refused.error.options.retryAfterMs).toBeGreaterThan(0);
  left.abort();
  await Promise.all(running);
  await engines((active) => active === 0);
});

test('metrics tell what was done', async () => {
  // Of those who left and were cancelled above.
  expect(await metric('tessera_wasted_seconds_total')).toBeGreaterThan(0);
  expect(await metric('tessera_time_to_first_token_seconds_count')).toBeGreaterThan(5);
  expect(await metric('tessera_prefill_tokens_total')).toBeGreaterThan(20);
  expect(await metric('tessera_decode_tokens_total')).toBeGreaterThan(20);
  expect(await metric('tessera_kv_cache_usage_ratio')).toBeGreaterThanOrEqual(0);
});

test('a drain is told on open streams, which go on to their end; new requests are refused', async () => {
  const second = await start();
  const other = createClient(LlmServiceDefinition, second.grpcAddress);
  const answer = request([user('Hello!')], {
    text: TextOptions.fromPartial({ maxTokens: 300, temperature: 50, seed: 3n, stop: [] }),
  });
  let stopping: Promise<void> | undefined;
  const kinds: string[] = [];
  let refused: TesseraError | undefined;
  for await (const { event } of other.generate(answer)) {
    kinds.push(event?.$case ?? '');
    if (event?.$case === 'tokens' && stopping === undefined) stopping = second.stop();
    if (event?.$case === 'drain') {
      refused = (await collect(other.generate(request([user('Hello!')])))).error;
      await engines((_, draining) => draining);
    }
  }
  await stopping;
  other.close();
  expect(kinds.filter((kind) => kind === 'drain')).toHaveLength(1);
  expect(kinds.at(-1)).toBe('finished');
  expect(refused).toMatchObject({ code: 'DRAINING' });
});
