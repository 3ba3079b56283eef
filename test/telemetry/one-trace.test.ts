import { type SpanRow, spanTable } from '@tessera/service';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { type StartedShard, startShard } from '../support/expert-shard.js';
import { OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.js';
import { type PlacedExperts, placedExperts } from '../support/placed-experts.js';
import { question, RawChat } from '../support/raw-chat.js';

const [internal, server, client, producer, consumer] = [1, 2, 3, 4, 5];

let receiver: OtlpReceiver;
let deployment: Deployment;
let placed: PlacedExperts;
let shard: StartedShard;

beforeAll(async () => {
  receiver = await OtlpReceiver.start();
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.url;
  process.env.OTEL_RESOURCE_ATTRIBUTES = 'deployment.environment.name=test';
  process.env.OTEL_BSP_SCHEDULE_DELAY = '50';
  placed = await placedExperts();
  deployment = await deploy({ cut: 'experts', flags: { llm: ['--experts-placement-file', placed.placementFile] } });
  shard = await startShard(deployment, placed, 'all');
});

afterAll(async () => {
  await deployment?.stop();
  await shard?.service.stop(10_000);
  await placed?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
});

/** The spans of the trace that has this request. */
function traceOf(requestId: string): ReceivedSpan[] {
  const chat = receiver.spans.find(({ attributes }) => attributes['gen_ai.response.id'] === requestId);
  return receiver.spans.filter(({ traceId }) => traceId === chat?.traceId);
}

const of = (service: string, span: ReceivedSpan): boolean => span.resource['tessera.service'] === service;

test('a request with a picture and a drawing is one trace over all five services', async () => {
  const answer = await ask(
    deployment.gateway,
    [
      { says: [samplePicture('apple'), 'What is this?'] },
      { role: 'assistant', says: ['This is a red apple.'] },
      { says: ['Draw a red apple on a blue background.'] },
    ],
    { draw: { steps: 3 }, text: { temperature: 0, topP: 1, topK: 50, maxTokens: 64 } },
  );
  expect(answer.pictures).toHaveLength(1);

  const expected: readonly [service: string, name: string, kind: number | undefined, parent: string | undefined][] = [
    ['gateway', 'tessera.v1.ChatService/Chat', server, undefined],
    ['gateway', 'chat demo', internal, 'tessera.v1.ChatService/Chat'],
    ['gateway', 'send encode', producer, 'chat demo'],
    ['gateway', 'tessera.v1.LlmService/Generate', client, 'chat demo'],
    ['encoder', 'process encode', consumer, 'send encode'],
    ['encoder', 'send connect', producer, 'process encode'],
    ['connector', 'process connect', consumer, 'send connect'],
    ['llm', 'tessera.v1.LlmService/Generate', server, 'tessera.v1.LlmService/Generate'],
    ['llm', 'engine admission', internal, 'tessera.v1.LlmService/Generate'],
    ['llm', 'engine prefill', internal, 'tessera.v1.LlmService/Generate'],
    ['llm', 'engine decode', internal, 'tessera.v1.LlmService/Generate'],
    ['llm', 'send generate', producer, 'tessera.v1.LlmService/Generate'],
    ['generator', 'process generate', consumer, 'send generate'],
    ['generator', 'draw', internal, 'process generate'],
  ];
  const inTrace = (): string[] =>
    traceOf(answer.requestId).map((span) => `${span.resource['tessera.service']} ${span.name} ${span.kind}`);
  await eventually(() => {
    const found = inTrace();
    for (const [service, name, kind] of expected) {
      const wanted = `${service} ${name} ${kind}`;
      if (!found.includes(wanted)) throw new Error(`${wanted} is not among ${found.join(', ')}`);
    }
    return true;
  }, 'every span has arrived');

  const trace = traceOf(answer.requestId);
  expect(trace).toHaveLength(expected.length);
  const byId = new Map(trace.map((span) => [span.spanId, span]));
  for (const [service, name, kind, parent] of expected) {
    const span = trace.find((one) => of(service, one) && one.name === name && one.kind === kind);
    expect(span, `${service} ${name}`).toMatchObject({ status: 0 });
    expect(byId.get(span?.parentSpanId ?? '')?.name, `the parent of ${service} ${name}`).toBe(parent);
    expect(span?.endMs).toBeGreaterThanOrEqual(span?.startMs ?? Number.POSITIVE_INFINITY);
    expect(span?.resource).toMatchObject({
      'service.name': `tessera-${service}`,
      'service.namespace': 'tessera',
      'deployment.environment.name': 'test',
    });
  }

  const attributes = (name: string, kind: number): ReceivedSpan['attributes'] =>
    trace.find((span) => span.name === name && span.kind === kind)?.attributes ?? {};
  expect(attributes('chat demo', 1)).toMatchObject({
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.temperature': 0,
    'gen_ai.usage.input_tokens': answer.usage.inputTokens,
    'gen_ai.usage.output_tokens': answer.usage.outputTokens,
    'gen_ai.response.finish_reasons': ['end'],
    'tessera.usage.drawings': 1,
  });
  expect(trace.find((span) => span.name === 'chat demo')?.events).toEqual(
    expect.arrayContaining(['queued', 'prefilling', 'decoding', 'done']),
  );
  for (const kind of ['encode', 'connect', 'generate']) {
    expect(attributes(`process ${kind}`, 5)).toMatchObject({
      'messaging.system.name': 'nats',
      'messaging.destination.name': expect.stringMatching(`^tessera_.*${kind}_`),
      'messaging.operation.type': 'process',
      'tessera.request.id': answer.requestId,
      'tessera.job.queue_ms': expect.any(Number),
      'tessera.job.deliveries': 1,
      'tessera.job.outcome': 'done',
    });
  }
  expect(attributes('tessera.v1.LlmService/Generate', 2)).toMatchObject({ 'rpc.status_code': 'OK' });
  expect(attributes('engine decode', 1)['gen_ai.usage.output_tokens']).toBe(answer.usage.outputTokens);
  expect(attributes('draw', 1)).toMatchObject({ 'tessera.draw.steps': 3, 'tessera.draw.queue_ms': expect.any(Number) });
  expect(JSON.stringify(trace)).not.toMatch(/red apple/);
});

test('all choices of a request are in its trace', async () => {
  const says = [samplePicture('apple'), 'What is this?'];
  const { requestId } = await ask(deployment.gateway, [{ says }], { choices: 2 });
  const decodes = () => traceOf(requestId).filter(({ name }) => name === 'engine decode');
  await eventually(() => decodes().length === 2, 'both were written');
  const ids = decodes().map(({ attributes }) => attributes['tessera.request.id']);
  expect(ids.sort()).toEqual([requestId, `${requestId}-1`]);
  expect(traceOf(requestId).find(({ name }) => name === 'chat demo')?.attributes).toMatchObject({
    'gen_ai.request.choice.count': 2,
    'gen_ai.response.finish_reasons': ['end', 'end'],
  });
});

test("a client's trace goes on, and its word that it is not sampled holds", async () => {
  const sampled = 'a'.repeat(32);
  const unsampled = 'b'.repeat(32);
  for (const [traceId, flags] of [
    [unsampled, '00'],
    [sampled, '01'],
  ]) {
    using chat = new RawChat(deployment.gateway, { traceparent: `00-${traceId}-${'c'.repeat(16)}-${flags}` });
    chat.send({ $case: 'start', value: question('Hello!', [], { user: 'u-1' }) }).close();
    expect((await chat.ended).status).toBe('OK');
  }
  const served = (service: string): ReceivedSpan | undefined =>
    receiver.spans.find((span) => span.traceId === sampled && of(service, span) && span.kind === server);
  await eventually(() => [served('llm'), served('gateway')].every(Boolean), 'the sampled trace is whole');
  expect(served('gateway')?.parentSpanId).toBe('c'.repeat(16));
  expect(receiver.spans.filter((span) => span.traceId === unsampled)).toEqual([]);
});

test('a refused request is a span with its code', async () => {
  using chat = new RawChat(deployment.gateway);
  chat.send({ $case: 'start', value: { ...question('Hello!'), model: 'another' } }).close();
  expect((await chat.ended).code).toBe('MODEL_NOT_FOUND');
  await eventually(
    () => receiver.spans.some(({ attributes }) => attributes['error.type'] === 'MODEL_NOT_FOUND'),
    'the failed span arrives',
  );
  const failed = receiver.spans.find(({ attributes }) => attributes['error.type'] === 'MODEL_NOT_FOUND');
  expect(failed).toMatchObject({ name: 'chat demo', status: 2 });
});

test('what a client leaves says so in its trace, and is no failure', async () => {
  const traceId = 'd'.repeat(32);
  using chat = new RawChat(deployment.gateway, { traceparent: `00-${traceId}-${'e'.repeat(16)}-01` });
  chat.ask('Hello!', [], { text: { temperature: 1, minTokens: 1500, maxTokens: 1500 } }).close();
  await chat.event('textDelta');
  chat.leave();
  for (const name of ['engine decode', 'chat demo']) {
    const left = (): ReceivedSpan | undefined =>
      receiver.spans.find((span) => span.traceId === traceId && span.name === name);
    await eventually(() => left() !== undefined, `${name} arrives`);
    expect(left(), name).toMatchObject({ status: 0, attributes: { 'error.type': 'CANCELLED' } });
  }
});

test('calls of an expert shard are told, and what it does, each as a trace of its own', async () => {
  const named = (name: string): ReceivedSpan[] => receiver.spans.filter((span) => span.name === name);
  await eventually(() => named('expert call').length > 0 && named('expert compute').length > 0, 'both have arrived');
  for (const span of [...named('expert call'), ...named('expert compute')]) {
    expect(span).toMatchObject({ parentSpanId: '', status: 0, attributes: { 'tessera.expert.group': 'all' } });
    expect(receiver.spans.filter(({ traceId }) => traceId === span.traceId)).toEqual([span]);
  }
});

/** Nothing is cut by layers here: test/failure/layer-shards.test.ts looks at their calls. */
const ofLayerShards: readonly string[] = ['layer call', 'layer compute'];

/** Rows of the table as patterns: `send {kind}` is any `send` of one word. */
const rows = Object.entries<SpanRow>(spanTable).map(([title, row]) => {
  const name = title.replace(/ \((server|client)\)$/, '').replaceAll('.', '\\.');
  return { ...row, title, pattern: new RegExp(`^${name.replace(/\{[^}]+\}/, '\\S+')}$`) };
});
const kinds = ['', 'internal', 'server', 'client', 'producer', 'consumer'];

test('the table of spans is true: these services have these spans with these attributes, and no others', () => {
  const seen = new Map(
    rows.map(({ title }) => [title, { services: new Set<string>(), attributes: new Set<string>() }]),
  );
  for (const span of receiver.spans) {
    const row = rows.find(({ kind, pattern }) => kind === kinds[span.kind] && pattern.test(span.name));
    expect(row, `${span.name} is in the table`).toBeDefined();
    if (row === undefined) continue;
    seen.get(row.title)?.services.add(String(span.resource['tessera.service']));
    for (const attribute of Object.keys(span.attributes)) seen.get(row.title)?.attributes.add(attribute);
  }
  for (const { title, from, attributes } of rows.filter((row) => !ofLayerShards.includes(row.title))) {
    const { services, attributes: found } = seen.get(title) ?? {};
    // Only the gateway and the engine are called in these tests; the others' gRPC is the same code.
    expect([...(services ?? [])].sort().join(', '), title).toBe(from === 'every service' ? 'gateway, llm' : from);
    found?.delete('error.type');
    expect([...(found ?? [])].sort(), title).toEqual([...attributes].sort());
  }
});
