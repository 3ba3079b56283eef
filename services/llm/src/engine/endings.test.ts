import { FinishReason, Modality, TesseraError } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { goldenCase } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Answer, collect, DemoEngine, user, wholePicture } from '../testing/demo-engine.js';
import type { EngineRequest } from './engine.js';

let demo: DemoEngine;

beforeAll(async () => {
  demo = await DemoEngine.create({ maxRunning: 2, maxWaiting: 1, maxWaitingForTiles: 3, maxTakeovers: 2 });
});

afterAll(() => demo.close());

const free = { running: 0, waiting: 0, waitingForTiles: 0, slotsInUse: 0, heldTiles: 0, cacheUsage: 0 };
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A request that would write for long. */
const long = (): EngineRequest =>
  demo.request([user('Hello!')], { text: { maxTokens: 1500, temperature: 50, seed: 1n } });

async function expectWorking(): Promise<void> {
  expect(demo.engine.stats()).toMatchObject(free);
  expect((await demo.start(goldenCase('apple.0'))).tokenIds).toEqual(goldenCase('apple.0').output_ids);
  expect(demo.engine.stats()).toMatchObject(free);
}

test('a cancel while waiting for a tile, for a slot, and while decoding frees everything', async () => {
  const requests = [demo.golden(goldenCase('apple.0')), long(), long(), long()];
  const answers = requests.map((request) => collect(demo.engine.submit(request)));
  await eventually(() => demo.engine.stats().decodeTokens > 3, 'tokens are computed');
  await eventually(() => demo.engine.stats().running === 2, 'two run');
  expect(demo.engine.stats()).toMatchObject({ waiting: 1, waitingForTiles: 1, slotsInUse: 2 });
  for (const { requestId } of requests) demo.engine.cancel(requestId);
  for (const answer of await Promise.all(answers)) expect(answer.error).toMatchObject({ code: 'CANCELLED' });
  await expectWorking();
});

test('a cancel before anything was computed, and one of a request that nobody knows', async () => {
  const request = long();
  const answer = collect(demo.engine.submit(request));
  demo.engine.cancel('nobody');
  demo.engine.cancel(request.requestId, { attempt: 2 });
  demo.engine.cancel(request.requestId, { attempt: 1, reason: new TesseraError('DEADLINE_EXCEEDED', 'late') });
  expect((await answer).error).toMatchObject({ code: 'DEADLINE_EXCEEDED', message: 'late' });
  await expectWorking();
});

test('a reader who leaves cancels', async () => {
  for await (const event of demo.engine.submit(long())) if (event.type === 'tokens') break;
  await eventually(() => demo.engine.stats().running === 0, 'none runs');
  await expectWorking();
});

test('deadlines: of a millisecond, in the past, while waiting for a tile', async () => {
  const now = Date.now();
  const requests = [
    demo.request([user('Hello!')], { deadlineMs: now + 1, text: { maxTokens: 1500, temperature: 50 } }),
    demo.request([user('Hello!')], { deadlineMs: now - 1 }),
    demo.golden(goldenCase('apple.0'), { deadlineMs: now + 20 }),
  ];
  const answers = await Promise.all(requests.map((request) => collect(demo.engine.submit(request))));
  for (const answer of answers) expect(answer.error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(answers[1]?.events.map(({ type }) => type)).toEqual(['admitted']);
  await expectWorking();
});

test('one more than run and wait is refused at once, with a delay', async () => {
  const requests = [long(), long(), long()];
  const answers = requests.map((request) => collect(demo.engine.submit(request)));
  const refused = await collect(demo.engine.submit(long()));
  expect(refused.events).toEqual([]);
  expect(refused.error).toMatchObject({ code: 'QUEUE_FULL', message: /2 sequences running and 1 waiting/ });
  expect(refused.error?.options.retryAfterMs).toBeGreaterThanOrEqual(100);
  for (const { requestId } of requests) demo.engine.cancel(requestId);
  await Promise.all(answers);
  await expectWorking();
});

test('an encoder that makes no tiles holds up no text: pictures have places of their own', async () => {
  const pictures = Array.from({ length: 3 }, () => demo.golden(goldenCase('apple.0')));
  const waiting = pictures.map((request) => collect(demo.engine.submit(request)));
  await eventually(() => demo.engine.stats().running === 2, 'two run');
  const refused = await collect(demo.engine.submit(demo.golden(goldenCase('apple.0'))));
  expect(refused.error).toMatchObject({ code: 'QUEUE_FULL', message: /3 sequences waiting for visual tokens/ });
  // As many texts as if there were no picture; each takes a slot that a picture had.
  const texts = await Promise.all(['text.0', 'text.1', 'text.2'].map((id) => demo.start(goldenCase(id))));
  expect(texts.map(({ tokenIds }) => tokenIds)).toEqual(
    ['text.0', 'text.1', 'text.2'].map((id) => goldenCase(id).output_ids),
  );
  expect(demo.engine.stats()).toMatchObject({ waiting: 0, waitingForTiles: 3 - demo.engine.stats().running });
  expect(demo.engine.stats().preemptions).toBeGreaterThan(0);
  for (const request of pictures) demo.provide(request, 0, 'apple');
  for (const { tokenIds } of await Promise.all(waiting)) expect(tokenIds).toEqual(goldenCase('apple.0').output_ids);
  await expectWorking();
});

test('what another engine had admitted is not refused, and goes before what waits', async () => {
  const requests = [long(), long(), long()];
  const answers = requests.map((request) => collect(demo.engine.submit(request)));
  expect((await collect(demo.engine.submit(long()))).error).toMatchObject({ code: 'QUEUE_FULL' });
  const { output_ids } = goldenCase('text.1');
  const ended: string[] = [];
  const note = (name: string, answer: Answer): Answer => {
    ended.push(name);
    return answer;
  };
  // Begun elsewhere, and admitted elsewhere without a token yet.
  const takeovers = [
    demo.start(goldenCase('text.1'), { attempt: 2, forcedTokenIds: output_ids.slice(0, 3) }),
    demo.start(goldenCase('text.1'), { attempt: 2, takenOver: true }),
  ].map((answer) => answer.then((done) => note('takeover', done)));
  void answers[2]?.then((done) => note('waited', done));
  const one = await collect(demo.engine.submit(demo.golden(goldenCase('text.1'), { attempt: 2, takenOver: true })));
  expect(one.error).toMatchObject({ code: 'QUEUE_FULL', message: /2 sequences taken over/ });
  demo.engine.cancel(requests[0]?.requestId ?? '');
  const done = await Promise.all(takeovers);
  expect(done.map(({ tokenIds }) => tokenIds)).toEqual([output_ids.slice(3), output_ids]);
  expect(ended).toEqual(['takeover', 'takeover']);
  for (const { requestId } of requests) demo.engine.cancel(requestId);
  await Promise.all(answers);
  await expectWorking();
});

test('a higher attempt replaces the lower one; the same one again is refused', async () => {
  const first = demo.golden(goldenCase('apple.0'));
  const replaced = collect(demo.engine.submit(first));
  const again = await collect(demo.engine.submit(first));
  expect(again.error).toMatchObject({ code: 'REQUEST_INVALID' });
  await turn();
  const second = collect(demo.engine.submit({ ...first, attempt: 2 }));
  // What the first one's reader still says is not of the second.
  demo.engine.cancel(first.requestId, { attempt: 1 });
  demo.provide(first, 0, 'apple');
  expect((await replaced).error).toMatchObject({ code: 'CANCELLED', message: /attempt 2/ });
  expect((await second).tokenIds).toEqual(goldenCase('apple.0').output_ids);
  await expectWorking();
});

test('text that was held back for a stop text leaves before the drawing that comes after it', async () => {
  const draw = goldenCase('text.2');
  const whole = await demo.start(draw);
  const held = `${whole.text.at(-1)}never`;
  const { events, text } = await demo.start(draw, { text: { stop: [held] } });
  expect(text).toBe(whole.text);
  const before = events.slice(
    0,
    events.findIndex(({ type }) => type === 'drawing'),
  );
  expect(before.flatMap((event) => (event.type === 'tokens' ? [event.text] : [])).join('')).toBe(whole.text);
});

test('the limit of tokens, the context, and stop texts end an answer', async () => {
  const three = await demo.start(goldenCase('apple.0'), { text: { maxTokens: 3 } });
  expect(three.tokenIds).toEqual(goldenCase('apple.0').output_ids.slice(0, 3));
  expect(three.finished).toMatchObject({ reason: FinishReason.LENGTH, completionTokens: 3 });

  const base = demo.request([user('word '.repeat(670))], { text: { maxTokens: 5000, temperature: 80, seed: 2n } });
  const full = await collect(demo.engine.submit(base));
  expect(full.finished?.reason).toBe(FinishReason.LENGTH);
  expect(base.prompt.tokenIds.length + (full.finished?.completionTokens ?? 0)).toBe(2048);

  const stopped = await demo.start(goldenCase('apple.0'), { text: { stop: ['never', ' red'] } });
  expect(stopped.text).toBe('This is a');
  expect(stopped.finished).toMatchObject({ reason: FinishReason.STOP });
  const inside = await demo.start(goldenCase('apple.0'), { text: { stop: ['d ap'] } });
  expect(inside.text).toBe('This is a re');
  await expectWorking();
});

test('media of another kind than the engine has tokens for are refused by name', () => {
  const sound = { ...wholePicture, modality: Modality.AUDIO };
  const refusal = (field: string) => expect.objectContaining({ code: 'UNSUPPORTED', options: { field } });
  expect(() => demo.request([user(0)], { media: [sound] })).toThrow(refusal('media[0].modality'));
});

type Options = NonNullable<Parameters<DemoEngine['request']>[1]>;
const hello = [user('Hello!')];
const room = () => 2048 - demo.request(hello).prompt.tokenIds.length;

test.each<[string, () => Options, () => Options]>([
  ['request_id', () => ({ requestId: 'a_b-9'.padEnd(64, 'X') }), () => ({ requestId: 'a'.repeat(65) })],
  ['request_id', () => ({ requestId: 'a' }), () => ({ requestId: 'a b' })],
  ['forced_token_ids', () => ({ forcedTokenIds: [2047] }), () => ({ forcedTokenIds: [1, 2048] })],
  [
    'forced_token_ids',
    () => ({ forcedTokenIds: new Array<number>(room()).fill(1) }),
    () => ({ forcedTokenIds: new Array<number>(room() + 1).fill(1) }),
  ],
  ['text.max_tokens', () => ({ text: { maxTokens: 1 } }), () => ({ text: { maxTokens: 0 } })],
  ['text.temperature', () => ({ text: { temperature: 0 } }), () => ({ text: { temperature: -0.1 } })],
  ['text.temperature', () => ({ text: { temperature: 100 } }), () => ({ text: { temperature: 100.1 } })],
  ['text.temperature', () => ({ text: { temperature: 1 } }), () => ({ text: { temperature: Number.NaN } })],
  ['text.top_p', () => ({ text: { topP: 0 } }), () => ({ text: { topP: -0.1 } })],
  ['text.top_p', () => ({ text: { topP: 1 } }), () => ({ text: { topP: 1.1 } })],
  ['text.repetition_penalty', () => ({ text: { repetitionPenalty: 0.1 } }), () => ({ text: { repetitionPenalty: 0 } })],
  ['text.repetition_penalty', () => ({ text: { repetitionPenalty: 10 } }), () => ({ text: { repetitionPenalty: 11 } })],
  ['text.logit_bias[2048]', () => ({ text: { logitBias: { 2047: 1 } } }), () => ({ text: { logitBias: { 2048: 1 } } })],
  ['text.stop_token_ids', () => ({ text: { stopTokenIds: [2047] } }), () => ({ text: { stopTokenIds: [1, 2048] } })],
  ['text.stop', () => ({ text: { stop: ['x'] } }), () => ({ text: { stop: ['x', ''] } })],
  ['text.stop', () => ({ text: { stop: ['x'.repeat(256)] } }), () => ({ text: { stop: ['x'.repeat(257)] } })],
  [
    'text.stop',
    () => ({ text: { stop: new Array<string>(16).fill('x') } }),
    () => ({ text: { stop: new Array<string>(17).fill('x') } }),
  ],
])('what is at its limit is taken, and what is beyond it refused by the name of its field: %s', (field, at, beyond) => {
  expect(() => demo.request(hello, at())).not.toThrow();
  expect(() => demo.request(hello, beyond())).toThrow(
    expect.objectContaining({ code: 'REQUEST_INVALID', options: expect.objectContaining({ field }) }),
  );
});

test('a drain lets what runs finish and refuses what is new; a close ends what is left', async () => {
  const own = await DemoEngine.create();
  const running = own.start(goldenCase('apple.0'));
  const drained = own.engine.drain();
  const refused: Answer = await own.start(goldenCase('apple.1'));
  expect(refused.error).toMatchObject({ code: 'DRAINING' });
  expect((await running).tokenIds).toEqual(goldenCase('apple.0').output_ids);
  await drained;
  await own.close();

  const other = await DemoEngine.create();
  const cut = collect(other.engine.submit(other.golden(goldenCase('apple.0'))));
  await turn();
  await other.close();
  expect((await cut).error).toMatchObject({ code: 'CANCELLED' });
  // Told at once: no step comes any more.
  let late: Answer | undefined;
  void other.start(goldenCase('apple.1')).then((answer) => {
    late = answer;
  });
  await turn();
  expect(late?.error).toMatchObject({ code: 'DRAINING' });
  expect(other.engine.stats()).toMatchObject(free);
});
