import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { LayeredDeployment } from '../support/layered-deployment.js';
import { OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.js';
import { question, RawChat } from '../support/raw-chat.js';

const text = { temperature: 1, seed: 4n, maxTokens: 200, minTokens: 200 };
const questions = ['Hello!', 'What is a cat?', 'Draw a house.'];

let receiver: OtlpReceiver;
let deployment: LayeredDeployment;
let undisturbed: string[] = [];

beforeAll(async () => {
  receiver = await OtlpReceiver.start();
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.url;
  process.env.OTEL_BSP_SCHEDULE_DELAY = '50';
  const { dir } = await smallLlamaBundle('layers=3');
  {
    await using whole = await LayeredDeployment.start({ bundleDir: dir, pieces: 1 });
    undisturbed = await Promise.all(
      questions.map(async (words) => (await ask(whole.gateway, [{ says: [words] }], { text })).text),
    );
  }
  // A stopped shard is given up when a test says so, not by time.
  const engine = ['--layers-call-timeout-ms', '120000', '--engine-max-running', '4', '--kv-max-bytes', '4000000'];
  deployment = await LayeredDeployment.start({ bundleDir: dir, pieces: 3, engine });
});

afterAll(async () => {
  await deployment?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
});

/** One request for each question, all of which write. */
async function load(): Promise<RawChat[]> {
  const chats = questions.map(() => new RawChat(deployment.gateway, { timeoutMs: 120_000 }));
  for (const [at, chat] of chats.entries()) {
    chat.send({ $case: 'start', value: question(questions[at] as string, [], { text }) }).close();
  }
  for (const chat of chats) await chat.event('textDelta');
  return chats;
}

async function allRight(chats: readonly RawChat[]): Promise<void> {
  for (const [at, chat] of chats.entries()) {
    expect(await chat.ended).toMatchObject({ status: 'OK' });
    expect(chat.text).toBe(undisturbed[at]);
    chat[Symbol.dispose]();
  }
}

const losses = (): Promise<number> => deployment.metric('tessera_kv_cache_losses_total');

/** Stops a shard, and waits until the engine waits for it. */
async function stopInCall(piece: number): Promise<void> {
  process.kill(deployment.shards.get(piece)?.ready.pid as number, 'SIGSTOP');
  await eventually(
    async () => (await deployment.metric('tessera_layer_calls_running', { piece: String(piece) })) > 0,
    'a call waits for it',
  );
}

async function kill(piece: number): Promise<void> {
  const { service, ready } = deployment.shards.get(piece) as {
    service: { ended: Promise<number> };
    ready: { pid: number };
  };
  process.kill(ready.pid, 'SIGKILL');
  await service.ended;
}

afterEach(async () => {
  for (const [piece, { service }] of deployment.shards) {
    if (!service.running) deployment.shards.set(piece, await deployment.startShard(piece));
  }
  await eventually(async () => (await deployment.metric('tessera_layer_pieces_missing')) === 0, 'every piece is held');
  await eventually(async () => (await deployment.metric('tessera_requests_running')) === 0, 'no request is left');
  expect((await ask(deployment.gateway, [{ says: [questions[0] as string] }], { text })).text).toBe(undisturbed[0]);
});

test('a shard is killed in the midst of a call: all goes on when its successor is there, and nothing is repeated or left out', async () => {
  const before = await losses();
  const chats = await load();
  await stopInCall(1);
  const killedMs = Date.now();
  await kill(1);
  await eventually(async () => (await losses()) > before, 'the engine says that its cache is lost');
  expect(await deployment.readiness()).toBe('ready\n');
  deployment.shards.set(1, await deployment.startShard(1));
  await allRight(chats);
  expect(await losses()).toBe(before + 1);
  // The traces say that the kill came in the midst of a call, and of as many answers.
  const around = ({ startMs, endMs }: ReceivedSpan): boolean => startMs < killedMs && killedMs < endMs;
  const found = (name: string): ReceivedSpan[] => receiver.spans.filter((span) => span.name === name && around(span));
  // Another step may have been in the other piece.
  const calls = (): ReceivedSpan[] =>
    found('layer call').filter(({ attributes }) => attributes['tessera.layers.piece'] === 1);
  await eventually(() => calls().length > 0, 'the call is in a trace');
  for (const { attributes } of calls()) {
    expect(attributes).toMatchObject({ 'error.type': 'STAGE_UNAVAILABLE' });
    expect(attributes['tessera.layers.rows']).toBeGreaterThan(0);
  }
  await eventually(() => found('engine decode').length === chats.length, 'each request is in a trace');
});

test('another shard of the piece takes over at once', async () => {
  const spare = await deployment.startShard(2);
  const before = await losses();
  const chats = await load();
  await stopInCall(2);
  await kill(2);
  await allRight(chats);
  expect(await losses()).toBe(before + 1);
  deployment.shards.set(2, spare);
});

test('a shard that shuts down is left for another one, and ends in peace', async () => {
  const spare = await deployment.startShard(1);
  const before = await losses();
  const chats = await load();
  const leaving = deployment.shards.get(1) as { service: { stop(graceMs: number): Promise<number> } };
  expect(await leaving.service.stop(20_000)).toBe(0);
  await allRight(chats);
  expect(await losses()).toBe(before + 1);
  // It was left in the midst of the answers, and not once nothing was asked any more.
  expect(await deployment.metric('tessera_layer_shard_positions_total', {}, spare)).toBeGreaterThan(0);
  deployment.shards.set(1, spare);
});

test('a request whose deadline passes while a piece is away is told what is missing', async () => {
  const chat = new RawChat(deployment.gateway, { timeoutMs: 6000 });
  chat.send({ $case: 'start', value: question(questions[0] as string, [], { text }) }).close();
  await chat.event('textDelta');
  await stopInCall(2);
  await kill(2);
  expect(await chat.ended).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
  chat[Symbol.dispose]();
});
