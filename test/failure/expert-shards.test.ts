import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { answersRight, atRest } from '../support/at-rest.js';
import { type Deployment, deploy, sumMetric } from '../support/deployment.js';
import { type StartedShard, startShard } from '../support/expert-shard.js';
import { OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.js';
import { type PlacedExperts, placedExperts } from '../support/placed-experts.js';
import { question, RawChat } from '../support/raw-chat.js';

const all = { layers: 'all', experts: 'all' } as const;
const even = { layers: 'all', experts: [0, 2, 4, 6] } as const;
const odd = { layers: 'all', experts: [1, 3, 5, 7] } as const;

/** The beginning of an answer none of whose choices lies within rounding: services/llm/src/testing/firm-answers.test.ts. */
const long = { temperature: 10, seed: 4n, maxTokens: 120 };

type Group = 'a' | 'b';

let placed: PlacedExperts;
let deployment: Deployment;
let receiver: OtlpReceiver;
let shards: Record<Group, StartedShard>;
let undisturbed = '';

const start = (group: Group): Promise<StartedShard> => startShard(deployment, placed, group);

const metric = (name: string, labels?: Record<string, string>) => deployment.metric('llm', name, labels);

/** How many experts the shards of both groups hold. */
async function held(): Promise<string> {
  const counts = [shards.a, shards.b].map(async ({ ready }) => {
    const response = await fetch(`http://${ready.metrics}/metrics`);
    return sumMetric(await response.text(), 'tessera_experts_held');
  });
  return (await Promise.all(counts)).join();
}

beforeAll(async () => {
  receiver = await OtlpReceiver.start();
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.url;
  process.env.OTEL_BSP_SCHEDULE_DELAY = '50';
  placed = await placedExperts();
  await placed.place({ a: [all], b: [odd] });
  // A call that waits for a stopped shard is to stay one: no other answers it, and it does not end by itself.
  const engine = ['--experts-hedge', 'false', '--experts-call-timeout-ms', '120000'];
  const flags = { llm: ['--experts-placement-file', placed.placementFile, ...engine] };
  deployment = await deploy({ cut: 'experts', flags });
  shards = { a: await start('a'), b: await start('b') };
  undisturbed = (await ask(deployment.gateway, [{ says: ['Hello!'] }], { text: long })).text;
});

afterAll(async () => {
  await deployment?.stop();
  for (const { service } of Object.values(shards ?? {})) await service.stop(10_000);
  await placed?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
});

/** Some requests that all write at once. */
async function load(count: number): Promise<RawChat[]> {
  const chats = Array.from({ length: count }, () => new RawChat(deployment.gateway, { timeoutMs: 120_000 }));
  for (const chat of chats) chat.send({ $case: 'start', value: question('Hello!', [], { text: long }) }).close();
  for (const chat of chats) await chat.event('textDelta');
  return chats;
}

async function allRight(chats: readonly RawChat[]): Promise<void> {
  for (const chat of chats) {
    expect(await chat.ended).toMatchObject({ status: 'OK' });
    expect(chat.text).toBe(undisturbed);
    chat[Symbol.dispose]();
  }
}

/** Kills a shard with a call in it, which the engine says that it waits for: it is stopped first. Returns when, in Unix milliseconds. */
async function killInCall(group: Group): Promise<number> {
  const { service, ready } = shards[group];
  process.kill(ready.pid, 'SIGSTOP');
  try {
    await eventually(async () => (await metric('tessera_expert_calls_running', { group })) > 0, 'a call waits for it');
    return Date.now();
  } finally {
    // One that is stopped would hold up whatever comes after.
    process.kill(ready.pid, 'SIGKILL');
    await service.ended;
  }
}

/** The traces say that the kill came in the midst of a call of the group's shard, and that so many requests were being answered. */
async function wasInCall(group: Group, killedMs: number, requests: number): Promise<void> {
  const around = ({ startMs, endMs }: ReceivedSpan): boolean => startMs < killedMs && killedMs < endMs;
  const found = (name: string): ReceivedSpan[] => receiver.spans.filter((span) => span.name === name && around(span));
  await eventually(() => found('expert call').length > 0, 'the call is in a trace');
  for (const call of found('expert call')) {
    expect(call.attributes).toMatchObject({ 'tessera.expert.group': group, 'error.type': 'STAGE_UNAVAILABLE' });
    expect(call.attributes['tessera.expert.rows']).toBeGreaterThan(0);
  }
  await eventually(() => found('engine decode').length === requests, 'each request is in a trace');
}

afterEach(async () => {
  // A test that failed has left no successor.
  for (const group of ['a', 'b'] as const) if (!shards[group].service.running) shards[group] = await start(group);
  await answersRight(deployment.gateway);
  await atRest(deployment);
});

test('a shard is killed in the midst of a call: another holder is asked, and no answer differs', async () => {
  await placed.place({ a: [all], b: [all] });
  await eventually(async () => (await held()) === '48,48', 'both hold all');
  const failoversBefore = await metric('tessera_expert_failovers_total');
  const chats = await load(3);
  const killedMs = await killInCall('b');
  await allRight(chats);
  await wasInCall('b', killedMs, chats.length);
  await eventually(
    async () => (await metric('tessera_expert_failovers_total')) > failoversBefore,
    'the engine says that a call went to another',
  );
});

test('the only holder is killed in the midst of a call: requests wait until it is back, and no answer differs', async () => {
  // Nothing runs: an engine without requests takes a placement up, too.
  await placed.place({ a: [even], b: [odd] });
  await eventually(async () => (await held()) === '24,24', 'each holds its own');
  const before = await metric('tessera_expert_unavailable_rows_total');
  const chats = await load(3);
  const killedMs = await killInCall('a');
  await eventually(async () => (await metric('tessera_expert_unavailable_rows_total')) > before, 'rows wait');
  await eventually(async () => (await metric('tessera_requests_running')) === 3, 'all of them run on');
  shards.a = await start('a');
  await allRight(chats);
  await wasInCall('a', killedMs, chats.length);
});

test('an expert moves under load, and no answer differs', async () => {
  const chats = await load(3);
  const fromMs = Date.now();
  await placed.place({ a: [odd], b: [even, { layers: [1], experts: [1] }] }, [{ layers: [1], experts: [0] }]);
  await eventually(async () => (await held()) === '24,25', 'both have dropped what moved away');
  const toMs = Date.now();
  await allRight(chats);
  const meanwhile = ({ name, startMs, endMs }: ReceivedSpan): boolean =>
    name === 'engine decode' && startMs < toMs && endMs > fromMs;
  await eventually(
    () => receiver.spans.filter(meanwhile).length === chats.length,
    'the traces say that all were answered',
  );
});
