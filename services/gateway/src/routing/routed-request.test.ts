import { type Bus, EngineRoster, type ProductInbox } from '@tessera/bus';
import { testBus } from '@tessera/bus/testing/test-bus';
import { EventQueue } from '@tessera/flow';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  type DrawingEvent,
  drawingEvents,
  encodeQueue,
  Modality,
  type PromptMessage,
  RequestState,
  Role,
  SegmentRole,
  TesseraError,
  TextOptions,
} from '@tessera/protocol';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { RequestAdmission } from '../admission/request-admission.js';
import type { AnswerEventBody } from '../answer/answer-reducer.js';
import { RequestLifecycle } from '../answer/request-lifecycle.js';
import type { PlannedItem } from '../intake/media-plan.js';
import { admitted, answer, finished, type Script, ScriptedEngine, token } from '../testing/scripted-engine.js';
import { EncodeDispatch } from './encode-dispatch.js';
import { EnginePool } from './engine-pool.js';
import { beginnings, PrefixAffinity } from './prefix-affinity.js';
import { RoutedRequest } from './routed-request.js';

let server: NatsServer;
let bus: Bus;
/** One whose encode queue takes a single job. */
let narrow: Bus;
let roster: EngineRoster;
let pool: EnginePool;
let affinity: PrefixAffinity;
const engines: ScriptedEngine[] = [];
const inboxes = new Map<Bus, ProductInbox<DrawingEvent>>();

beforeAll(async () => {
  server = await startNatsServer();
  bus = await testBus(server.url);
  narrow = await testBus(server.url, { limits: { maxJobs: 1, queueWaitMs: 20 } });
  for (const each of [bus, narrow]) inboxes.set(each, await each.openInbox(drawingEvents));
});
beforeEach(() => {
  roster = new EngineRoster();
  affinity = new PrefixAffinity(100);
  // The first of two is chosen while they are alike.
  pool = new EnginePool(roster, { waitMs: 60_000, expectMs: 60_000, retryAfterMs: () => 1, random: () => 0 });
});
afterEach(async () => {
  pool.close();
  for (const engine of engines.splice(0)) await engine.stop();
});
afterAll(async () => {
  await narrow.close();
  await bus.close();
  await server.stop();
});

async function engine(name: string, ...scripts: Script[]): Promise<ScriptedEngine> {
  const started = await ScriptedEngine.start(name, ...scripts);
  engines.push(started);
  roster.heard(started.status);
  return started;
}

/** Announces again an engine that was lost, as a live one does. */
function announceAgain(...live: ScriptedEngine[]): () => void {
  return roster.onChange(({ status }, news) => {
    const back = live.find((each) => each.status.engineId === status.engineId);
    if (news === 'forgotten' && back !== undefined) setTimeout(() => roster.heard(back.status), 10);
  });
}

let nextId = 0;

interface Asked {
  readonly items?: readonly PlannedItem[];
  readonly leftMs?: number;
  readonly on?: Bus;
  readonly messages?: PromptMessage[];
}

async function run({ items = [], leftMs = 60_000, on = bus, messages = [] }: Asked = {}): Promise<{
  events: AnswerEventBody[];
  text: string;
  error?: TesseraError;
  attempts: number;
}> {
  const requestId = `request-${nextId++}`;
  const deadlineMs = Date.now() + leftMs;
  let attempts = 1;
  const conversation = { messages, templateArguments: undefined };
  const answer = new EventQueue<AnswerEventBody>();
  const admission = new RequestAdmission({ engines: pool, safety: 0, drawSteps: undefined });
  const request = new RoutedRequest(
    {
      requestId,
      client: 'c',
      priority: 0,
      conversation,
      beginnings: beginnings(
        'c',
        conversation,
        items.map(({ digest }) => digest),
      ),
      items,
      text: TextOptions.fromPartial({}),
      draw: {},
      deadlineMs,
    },
    answer,
    {
      bus: on,
      drawings: inboxes.get(on) as ProductInbox<DrawingEvent>,
      engines: pool,
      encodes: new EncodeDispatch(on, 4, items, { requestId, deadlineMs }),
      affinity,
      lifecycle: new RequestLifecycle(() => undefined),
      admitted: admission.admit({
        hasMedia: items.length > 0,
        maxTokens: undefined,
        asksToDraw: false,
        drawSteps: undefined,
        deadlineMs,
      }),
      maxAttempts: 3,
      onAttempt: () => {
        attempts++;
      },
    },
  );
  const events: AnswerEventBody[] = [];
  let error: TesseraError | undefined;
  const stop = new AbortController();
  try {
    request.run(stop.signal).then(
      () => answer.end(),
      (reason) => answer.fail(reason),
    );
    for await (const event of answer) events.push(event);
  } catch (reason) {
    error = reason as TesseraError;
  }
  stop.abort();
  const text = events.map((event) => (event.$case === 'textDelta' ? event.value.text : '')).join('');
  return { events, text, attempts, ...(error === undefined ? {} : { error }) };
}

function picture(tiles: number): PlannedItem {
  return {
    item: 0,
    declared: 0,
    name: 'a',
    modality: Modality.IMAGE,
    size: { width: 10, height: 10 },
    tiles,
    bytes: new Uint8Array([1, 2, 3]),
    digest: 'd',
    segments: Array.from({ length: tiles }, () => ({ role: SegmentRole.PART, tokenCount: 4 })),
  };
}

const died: Script = { events: [admitted, token(7)], fails: new TesseraError('STAGE_UNAVAILABLE', 'it died') };

test('a full engine has not failed: its request goes to another one, and the next may come again', async () => {
  const full = await engine('full', { fails: new TesseraError('QUEUE_FULL', 'full', { retryAfterMs: 5 }) }, answer);
  const free = await engine('free', answer);
  expect(await run()).toMatchObject({ text: '<7>', attempts: 2 });
  expect([full.calls.length, free.calls.length]).toEqual([1, 1]);
  expect(roster.ready).toHaveLength(2);
  expect(pool.outlook().load).toBe(8);
  roster.heard(full.status);
  expect(pool.outlook().load).toBe(0);
});

test('leases are given back, however a request ends', async () => {
  const one = await engine('one', answer, { fails: new TesseraError('PROMPT_TOO_LONG', 'too long') }, died, answer);
  const stop = announceAgain(one);
  await run();
  expect(pool.outlook().load).toBe(0);
  expect((await run()).error).toMatchObject({ code: 'PROMPT_TOO_LONG' });
  expect(pool.outlook().load).toBe(0);
  await run();
  expect(pool.outlook().load).toBe(0);
  stop();
});

test('an engine that fails is left, and the next one goes on after what was delivered', async () => {
  const dead = await engine('dead', died);
  const alive = await engine('alive', { events: [admitted, token(8), finished] });
  expect(await run()).toMatchObject({ text: '<7><8>', attempts: 2 });
  expect(dead.calls).toHaveLength(1);
  expect(alive.calls).toMatchObject([{ attempt: 2, forcedTokenIds: [7] }]);
  expect(roster.ready.map(({ status }) => status.engineId)).toEqual(['alive']);
});

test('a request returns to the only engine after a passing failure', async () => {
  const only = await engine('only', died, { events: [admitted, token(8), finished] });
  const stop = announceAgain(only);
  expect(await run()).toMatchObject({ text: '<7><8>' });
  expect(only.calls).toHaveLength(2);
  stop();
});

test('there are as many attempts as the limit says, and no more', async () => {
  const only = await engine('only', { fails: new TesseraError('STAGE_UNAVAILABLE', 'no') });
  const stop = announceAgain(only);
  expect((await run()).error).toMatchObject({ code: 'STAGE_UNAVAILABLE', message: expect.stringContaining('no') });
  expect(only.calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  stop();
});

test('one that goes on waits where it is refused, which is no attempt', async () => {
  const refused: Script = { fails: new TesseraError('QUEUE_FULL', 'full') };
  const dead = await engine('dead', died);
  const full = await engine('full', refused, refused, refused, refused, { events: [admitted, token(8), finished] });
  const announcing = setInterval(() => roster.heard(full.status), 20);
  expect(await run()).toMatchObject({ text: '<7><8>' });
  clearInterval(announcing);
  expect(dead.calls).toHaveLength(1);
  expect(full.calls).toHaveLength(5);
});

test('one that begins is refused when every engine says that it is full', async () => {
  const full = await engine('full', { fails: new TesseraError('QUEUE_FULL', 'full') });
  expect((await run()).error).toMatchObject({ code: 'QUEUE_FULL' });
  expect(full.calls).toHaveLength(1);
  expect(roster.ready).toHaveLength(1);
});

test.each([
  ['the generator has no room for its drawing', 'QUEUE_FULL', 'generator'],
  ['visual tokens did not come', 'STAGE_UNAVAILABLE', 'encoder'],
] as const)(
  'another stage fails it (%s): it does not move, and the engine is not forgotten',
  async (says, code, stage) => {
    const one = await engine('one', { events: [admitted, token(7)], fails: new TesseraError(code, says, { stage }) });
    const other = await engine('other', answer);
    expect((await run()).error).toMatchObject({ code, message: expect.stringContaining(says), options: { stage } });
    expect([one.calls.length, other.calls.length]).toEqual([1, 0]);
    expect(roster.ready).toHaveLength(2);
    expect(pool.outlook()).toMatchObject({ load: 0 });
  },
);

test('an encode queue that stays full ends the request as the failure of the encoder, and no engine is left for it', async () => {
  // It holds the request for as long as its tiles are to come.
  const one = await engine('one', { events: [admitted], waits: true });
  const other = await engine('other', answer);
  const { error } = await run({ items: [picture(5)], leftMs: 1500, on: narrow });
  expect(error).toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'encoder' } });
  expect([one.calls.length, other.calls.length]).toEqual([1, 0]);
  expect(roster.ready).toHaveLength(2);
});

test('an engine that falls silent loses its request, and what it says later is not heard', async () => {
  const hung = await engine('hung', { events: [admitted, token(7)], waits: true });
  const answering = run();
  await expect.poll(() => hung.calls.length).toBe(1);
  const alive = await engine('alive', { events: [admitted, token(7), finished] }, answer);
  // The new one has just spoken; the first one has not.
  await new Promise((resolve) => setTimeout(resolve, 100));
  roster.heard(alive.status);
  roster.sweep(50);
  expect((await answering).text).toContain('<7>');
  expect(alive.calls).toMatchObject([{ attempt: 2 }]);
});

/** A drawing as a generator sends it, in one part. */
async function draw(requestId: string, drawing: number): Promise<void> {
  const picturePart = { data: Uint8Array.of(1, 2, 3), last: true, mimeType: 'image/png' };
  const event: DrawingEvent = {
    key: { requestId, attempt: 1, item: drawing },
    event: { $case: 'picturePart', value: picturePart },
    sequence: 0,
    timing: undefined,
  };
  const deliverTo = inboxes.get(bus)?.address ?? '';
  await bus.send(drawingEvents, event, { deadlineMs: Date.now() + 60_000, deliverTo });
}

const drawingQueued: Script['events'] = [{ $case: 'drawingQueued', value: { drawing: 0 } }];

test('a drawing that comes after the engine has said all and closed its stream is delivered', async () => {
  const one = await engine('one', { events: [admitted, ...drawingQueued, token(7), finished] });
  const answered = run();
  await expect.poll(() => one.calls.length).toBe(1);
  // The engine's place is given back with its text, before the drawing is there.
  await expect.poll(() => pool.outlook().load).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await draw(one.calls[0]?.requestId ?? '', 0);
  const { events, error } = await answered;
  expect(error).toBeUndefined();
  expect(events.map(({ $case }) => $case)).toContain('mediaPart');
  expect(events.at(-1)).toMatchObject({ $case: 'finished', value: { usage: { outputMedia: 1 } } });
});

test('a request whose text is complete and whose drawing is not is generating, also where nothing was written', async () => {
  const one = await engine('one', { events: [admitted, ...drawingQueued, finished] });
  const answered = run();
  await expect.poll(() => one.calls.length).toBe(1);
  await expect.poll(() => pool.outlook().load).toBe(0);
  await draw(one.calls[0]?.requestId ?? '', 0);
  const { events } = await answered;
  const states = events.flatMap((event) => (event.$case === 'stateChanged' ? [event.value.state] : []));
  const { QUEUED, PREFILLING, GENERATING, DONE } = RequestState;
  expect(states).toEqual([QUEUED, PREFILLING, GENERATING, DONE]);
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
  return await bus.isQueued(encodeQueue, { requestId, item: 0, tile });
}

test('the next turn goes to the engine that has the last one, which says which pictures it needs', async () => {
  const other = await engine('other', answer);
  expect((await run({ items: [picture(5)], messages: firstTurn })).text).toBe('<7>');
  // Of two that are alike the first would be taken.
  const first = await engine('a first one', answer);
  roster.heard({ ...other.status, running: 3 });
  await run({ items: [picture(5)], messages: nextTurn });
  expect(first.calls).toHaveLength(0);
  expect(other.calls.map(({ mediaOnDemand }) => mediaOnDemand)).toEqual([false, true]);
  expect(other.calls.map(({ cacheScope }) => cacheScope)).toEqual(['c', 'c']);
  // It needed none, and none was made.
  const [before, after] = other.calls.map(({ requestId }) => requestId);
  expect(await isQueued(after ?? '', 0)).toBe(false);
  expect(before).not.toBe(after);
  // A conversation that it does not know goes to the one that has less to do.
  await run({ items: [picture(5)], messages: [says(Role.USER, 0, 'What else?')] });
  expect(first.calls.map(({ mediaOnDemand }) => mediaOnDemand)).toEqual([false]);
});

test('tiles that an engine asks for are queued then, each job once, and nothing else is', async () => {
  const needed = (segment: number) => ({ $case: 'segmentNeeded' as const, value: { media: 0, segment } });
  const one = await engine('one', answer, { events: [admitted, needed(5), needed(6), needed(5)], waits: true });
  await run({ items: [picture(9)], messages: firstTurn });
  const answering = run({ items: [picture(9)], messages: nextTurn, leftMs: 2000 });
  await expect.poll(() => one.calls.length).toBe(2);
  const requestId = one.calls[1]?.requestId ?? '';
  await expect.poll(() => isQueued(requestId, 4)).toBe(true);
  expect([await isQueued(requestId, 0), await isQueued(requestId, 8)]).toEqual([false, false]);
  expect((await answering).error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});
