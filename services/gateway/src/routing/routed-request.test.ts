import {
  type DrawingEvent,
  drawingEvents,
  durationOf,
  encodeQueue,
  type PromptMessage,
  RequestState,
  Role,
  Stage,
  type StageTiming,
  TesseraError,
} from '@tessera/protocol';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { AnswerEventBody } from '../answer/answer-event.js';
import { picture, RoutingFixture } from '../testing/routing-fixture.js';
import { admitted, answer, arrived, finished, type Script, token } from '../testing/scripted-engine.js';

let routing: RoutingFixture;
beforeAll(async () => {
  routing = await RoutingFixture.start();
});
afterEach(() => routing.reset());
afterAll(() => routing.close());

const died: Script = { events: [admitted, token(7)], fails: new TesseraError('STAGE_UNAVAILABLE', 'it died') };

test('a full engine has not failed: its request goes to another one, and the next may come again', async () => {
  const full = await routing.engine(
    'full',
    { fails: new TesseraError('QUEUE_FULL', 'full', { retryAfterMs: 5 }) },
    answer,
  );
  const free = await routing.engine('free', answer);
  expect(await routing.run()).toMatchObject({ text: '<7>', attempts: 2 });
  expect([full.calls.length, free.calls.length]).toEqual([1, 1]);
  expect(routing.roster.ready).toHaveLength(2);
  expect(routing.pool.outlook().load).toBe(8);
  routing.roster.heard(full.status);
  expect(routing.pool.outlook().load).toBe(0);
});

test('leases are given back, however a request ends', async () => {
  const one = await routing.engine(
    'one',
    answer,
    { fails: new TesseraError('PROMPT_TOO_LONG', 'too long') },
    died,
    answer,
  );
  const stop = routing.announceAgain(one);
  await routing.run();
  expect(routing.pool.outlook().load).toBe(0);
  expect((await routing.run()).error).toMatchObject({ code: 'PROMPT_TOO_LONG' });
  expect(routing.pool.outlook().load).toBe(0);
  await routing.run();
  expect(routing.pool.outlook().load).toBe(0);
  stop();
});

test('an engine that fails is left, and the next one goes on after what was delivered', async () => {
  const dead = await routing.engine('dead', died);
  const alive = await routing.engine('alive', { events: [admitted, token(8), finished] });
  expect(await routing.run()).toMatchObject({ text: '<7><8>', attempts: 2 });
  expect(dead.calls).toHaveLength(1);
  expect(alive.calls).toMatchObject([{ attempt: 2, forcedTokenIds: [7] }]);
  expect(routing.roster.ready.map(({ status }) => status.engineId)).toEqual(['alive']);
});

test('a request returns to the only engine after a passing failure', async () => {
  const only = await routing.engine('only', died, { events: [admitted, token(8), finished] });
  const stop = routing.announceAgain(only);
  expect(await routing.run()).toMatchObject({ text: '<7><8>' });
  expect(only.calls).toHaveLength(2);
  stop();
});

test('there are as many attempts as the limit says, and no more', async () => {
  const only = await routing.engine('only', { fails: new TesseraError('STAGE_UNAVAILABLE', 'no') });
  const stop = routing.announceAgain(only);
  expect((await routing.run()).error).toMatchObject({
    code: 'STAGE_UNAVAILABLE',
    message: expect.stringContaining('no'),
  });
  expect(only.calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  stop();
});

test('one that goes on waits where it is refused, which is no attempt', async () => {
  const refused: Script = { fails: new TesseraError('QUEUE_FULL', 'full') };
  const dead = await routing.engine('dead', died);
  const full = await routing.engine('full', refused, refused, refused, refused, {
    events: [admitted, token(8), finished],
  });
  const announcing = setInterval(() => routing.roster.heard(full.status), 20);
  expect(await routing.run()).toMatchObject({ text: '<7><8>' });
  clearInterval(announcing);
  expect(dead.calls).toHaveLength(1);
  expect(full.calls).toHaveLength(5);
});

test('engines that go while it waits in line are awaited until one is back', async () => {
  const dead = await routing.engine('dead', died);
  const refused: Script = { fails: new TesseraError('QUEUE_FULL', 'full') };
  const full = await routing.engine('full', refused, { events: [admitted, token(8), finished] });
  const awaited: [Stage, boolean][] = [];
  const answering = routing.run({ onAwaited: (...change) => awaited.push(change) });
  // It has lost one and been refused by the other: it stands in line for it.
  await expect.poll(() => [dead.calls.length, full.calls.length, routing.pool.outlook().load]).toEqual([1, 1, 8]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(awaited).toEqual([]);
  routing.roster.forget(full.status.engineId);
  await expect.poll(() => awaited).toEqual([[Stage.LLM, true]]);
  routing.roster.heard(full.status);
  const { events, text } = await answering;
  expect(text).toBe('<7><8>');
  expect(awaited).toEqual([
    [Stage.LLM, true],
    [Stage.LLM, false],
  ]);
  const told = events.flatMap((event) => (event.$case === 'stagesAwaited' ? [event.value.stages] : []));
  expect(told).toEqual([[Stage.LLM], []]);
});

test('a request that has its engine awaits none, whoever announces himself no more', async () => {
  const one = await routing.engine('one', { events: [admitted, token(7)], waits: true });
  const stop = new AbortController();
  const awaited: Stage[] = [];
  const onEvent = ({ $case }: AnswerEventBody): void => {
    if ($case !== 'textDelta') return;
    // What runs there runs on.
    routing.roster.forget(one.status.engineId);
    setImmediate(() => stop.abort(new TesseraError('CANCELLED', 'enough')));
  };
  await routing.run({ signal: stop.signal, onEvent, onAwaited: (stage) => awaited.push(stage) });
  expect(awaited).toEqual([]);
});

test('one that begins is refused when every engine says that it is full', async () => {
  const full = await routing.engine('full', { fails: new TesseraError('QUEUE_FULL', 'full') });
  expect((await routing.run()).error).toMatchObject({ code: 'QUEUE_FULL' });
  expect(full.calls).toHaveLength(1);
  expect(routing.roster.ready).toHaveLength(1);
});

test.each([
  ['the generator has no room for its drawing', 'QUEUE_FULL', 'generator'],
  ['visual tokens did not come', 'STAGE_UNAVAILABLE', 'encoder'],
] as const)(
  'another stage fails it (%s): it does not move, and the engine is not forgotten',
  async (says, code, stage) => {
    const one = await routing.engine('one', {
      events: [admitted, token(7)],
      fails: new TesseraError(code, says, { stage }),
    });
    const other = await routing.engine('other', answer);
    expect((await routing.run()).error).toMatchObject({
      code,
      message: expect.stringContaining(says),
      options: { stage },
    });
    expect([one.calls.length, other.calls.length]).toEqual([1, 0]);
    expect(routing.roster.ready).toHaveLength(2);
    expect(routing.pool.outlook()).toMatchObject({ load: 0 });
  },
);

test('an encode queue that stays full ends the request as the failure of the encoder, and no engine is left for it', async () => {
  // It holds the request for as long as its tiles are to come.
  const one = await routing.engine('one', { events: [admitted], waits: true });
  const other = await routing.engine('other', answer);
  const { error } = await routing.run({ items: [picture(5)], leftMs: 1500, on: routing.narrow });
  expect(error).toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'encoder' } });
  expect([one.calls.length, other.calls.length]).toEqual([1, 0]);
  expect(routing.roster.ready).toHaveLength(2);
});

test('an engine that falls silent loses its request, and what it says later is not heard', async () => {
  const hung = await routing.engine('hung', { events: [admitted, token(7)], waits: true });
  const answering = routing.run();
  await expect.poll(() => hung.calls.length).toBe(1);
  const alive = await routing.engine('alive', { events: [admitted, token(7), finished] }, answer);
  // The new one has just spoken; the first one has not.
  await new Promise((resolve) => setTimeout(resolve, 100));
  routing.roster.heard(alive.status);
  routing.roster.sweep(50);
  expect((await answering).text).toContain('<7>');
  expect(alive.calls).toMatchObject([{ attempt: 2 }]);
});

test.each([
  [4, { load: 0, awaitingTiles: 1 }],
  [5, { load: 1, awaitingTiles: 0 }],
])('a request with %d of its 5 tiles there is load, or not yet', async (count, outlook) => {
  const tiles = Array.from({ length: count }, (_, segment) => arrived(segment));
  await routing.engine('one', { events: [admitted, ...tiles, token(7)], waits: true });
  const stop = new AbortController();
  let seen: unknown;
  const onEvent = ({ $case }: AnswerEventBody): void => {
    if ($case !== 'textDelta') return;
    seen = routing.pool.outlook();
    stop.abort(new TesseraError('CANCELLED', 'enough'));
  };
  await routing.run({ items: [picture(5)], signal: stop.signal, onEvent });
  expect(seen).toMatchObject(outlook);
});

test('what stages measured is told, each as its own', async () => {
  const times = (stage: Stage, queueMs: number, busyMs: number): StageTiming => ({
    stage,
    queue: durationOf(queueMs),
    busy: durationOf(busyMs),
    endTime: new Date(),
  });
  const { ENCODER, CONNECTOR } = Stage;
  const tile = arrived(0, [times(ENCODER, 1, 2), times(CONNECTOR, 3, 4)]);
  await routing.engine('one', { events: [admitted, tile, token(7), finished] }, answer);
  const { measured, written } = await routing.run({ items: [picture(1)] });
  expect(measured).toEqual([
    ['encode', { queueMs: 1, busyMs: 2 }],
    ['connect', { queueMs: 3, busyMs: 4 }],
  ]);
  // A prefill that waited for pictures says nothing of one without.
  expect(written).toMatchObject([{ hasMedia: true, tokens: 1, timing: { prefillMs: 1, decodeMs: 1 } }]);
  expect((await routing.run()).written).toMatchObject([{ hasMedia: false }]);
});

test('an engine that speaks again at once is not forgotten for the request that its silence took from it', async () => {
  const hung = await routing.engine('hung', { events: [admitted, token(7)], waits: true });
  const answering = routing.run();
  await expect.poll(() => hung.calls.length).toBe(1);
  const alive = await routing.engine('alive', { events: [admitted, token(8), finished] });
  await new Promise((resolve) => setTimeout(resolve, 100));
  routing.roster.heard(alive.status);
  routing.roster.sweep(50);
  routing.roster.heard(hung.status);
  expect((await answering).error).toBeUndefined();
  expect(alive.calls).toHaveLength(1);
  expect(routing.roster.ready.map(({ status }) => status.engineId).sort()).toEqual(['alive', 'hung']);
});

/** A drawing as a generator sends it, in one part. */
async function draw(requestId: string, drawing: number): Promise<void> {
  const picturePart = { data: Uint8Array.of(1, 2, 3), last: true, mimeType: 'image/png' };
  const event: DrawingEvent = {
    key: { requestId, attempt: 1, item: drawing },
    event: { $case: 'picturePart', value: picturePart },
    sequence: 0,
    timing: { stage: 'generator', queueMs: 5, busyMs: 6, endedAtMs: Date.now() },
  };
  const deliverTo = routing.drawingsTo;
  await routing.bus.send(drawingEvents, event, { deadlineMs: Date.now() + 60_000, deliverTo });
}

const drawingQueued: Script['events'] = [{ $case: 'drawingQueued', value: { drawing: 0 } }];

test('a drawing that comes after the engine has said all and closed its stream is delivered', async () => {
  const one = await routing.engine('one', { events: [admitted, ...drawingQueued, token(7), finished] });
  const answered = routing.run();
  await expect.poll(() => one.calls.length).toBe(1);
  // The engine's place is given back with its text, before the drawing is there.
  await expect.poll(() => routing.pool.outlook().load).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await draw(one.calls[0]?.requestId ?? '', 0);
  const { events, error, measured } = await answered;
  expect(error).toBeUndefined();
  expect(events.map(({ $case }) => $case)).toContain('mediaPart');
  expect(measured).toMatchObject([['generate', { queueMs: 5, busyMs: 6 }]]);
  expect(events.at(-1)).toMatchObject({ $case: 'finished', value: { usage: { outputMedia: 1 } } });
});

test('a request whose text is complete and whose drawing is not is generating, also where nothing was written', async () => {
  const one = await routing.engine('one', { events: [admitted, ...drawingQueued, finished] });
  const answered = routing.run();
  await expect.poll(() => one.calls.length).toBe(1);
  await expect.poll(() => routing.pool.outlook().load).toBe(0);
  await draw(one.calls[0]?.requestId ?? '', 0);
  const { events } = await answered;
  const states = events.flatMap((event) => (event.$case === 'stateChanged' ? [event.value.state] : []));
  const { QUEUED, PREFILLING, GENERATING, DONE } = RequestState;
  expect(states).toEqual([QUEUED, PREFILLING, GENERATING, DONE]);
});

test('a drawing that nobody is there to make is awaited, until it has come', async () => {
  for (let look = 0; look < 2; look++) routing.attendance.sampled(new Set(['generate']));
  const one = await routing.engine('one', { events: [admitted, ...drawingQueued, token(7), finished] });
  const awaited: [Stage, boolean][] = [];
  const answered = routing.run({ onAwaited: (...change) => awaited.push(change) });
  await expect.poll(() => awaited).toEqual([[Stage.GENERATOR, true]]);
  await draw(one.calls[0]?.requestId ?? '', 0);
  const { events } = await answered;
  const told = events.flatMap((event) => (event.$case === 'stagesAwaited' ? [event.value.stages] : []));
  expect(told[0]).toEqual([Stage.GENERATOR]);
  expect(awaited).toEqual([
    [Stage.GENERATOR, true],
    [Stage.GENERATOR, false],
  ]);
});

function says(role: Role, ...parts: (string | number)[]): PromptMessage {
  const content = parts.map((value) => ({
    part: typeof value === 'string' ? { $case: 'text' as const, value } : { $case: 'media' as const, value },
  }));
  return { role, content };
}

const firstTurn = [says(Role.USER, 0, 'What is this?')];
const nextTurn = [...firstTurn, says(Role.ASSISTANT, '<7>'), says(Role.USER, 'And of which colour is it?')];

/** Where the job that begins with this tile waits to be taken. */
async function isQueued(requestId: string, tile: number): Promise<boolean> {
  return await routing.bus.isQueued(encodeQueue, { requestId, item: 0, tile });
}

test('the next turn goes to the engine that has the last one, which says which pictures it needs', async () => {
  const other = await routing.engine('other', answer);
  expect((await routing.run({ items: [picture(5)], messages: firstTurn })).text).toBe('<7>');
  // Of two that are alike the first would be taken.
  const first = await routing.engine('a first one', answer);
  routing.roster.heard({ ...other.status, running: 3 });
  await routing.run({ items: [picture(5)], messages: nextTurn });
  expect(first.calls).toHaveLength(0);
  expect(other.calls.map(({ mediaOnDemand }) => mediaOnDemand)).toEqual([false, true]);
  expect(other.calls.map(({ cacheScope }) => cacheScope)).toEqual(['c', 'c']);
  // It needed none, and none was made.
  const [before, after] = other.calls.map(({ requestId }) => requestId);
  expect(await isQueued(after ?? '', 0)).toBe(false);
  expect(before).not.toBe(after);
  // A conversation that it does not know goes to the one that has less to do.
  await routing.run({ items: [picture(5)], messages: [says(Role.USER, 0, 'What else?')] });
  expect(first.calls.map(({ mediaOnDemand }) => mediaOnDemand)).toEqual([false]);
});

test('tiles that an engine asks for are queued then, each job once, and nothing else is', async () => {
  const needed = (segment: number) => ({ $case: 'segmentNeeded' as const, value: { media: 0, segment } });
  const one = await routing.engine('one', answer, { events: [admitted, needed(5), needed(6), needed(5)], waits: true });
  await routing.run({ items: [picture(9)], messages: firstTurn });
  const answering = routing.run({ items: [picture(9)], messages: nextTurn, leftMs: 2000 });
  await expect.poll(() => one.calls.length).toBe(2);
  const requestId = one.calls[1]?.requestId ?? '';
  await expect.poll(() => isQueued(requestId, 4)).toBe(true);
  expect([await isQueued(requestId, 0), await isQueued(requestId, 8)]).toEqual([false, false]);
  expect((await answering).error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});
