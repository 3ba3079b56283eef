import { type Float32Tensor, Modality, SegmentRole, TesseraError } from '@tessera/protocol';
import { goldenCase } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Answer, assistant, collect, DemoEngine, pictureOf, user, wholePicture } from '../testing/demo-engine.js';
import type { EngineEvent, EngineRequest } from './engine.js';

let demo: DemoEngine;

beforeAll(async () => {
  demo = await DemoEngine.create();
});

afterAll(() => demo.close());

const free = { running: 0, waiting: 0, waitingForTiles: 0, slotsInUse: 0, heldTiles: 0, cacheUsage: 0 };

/** Lets the engine take some steps. */
async function steps(count = 10): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}

test('a tile that comes late, twice, or after a stranger gives the golden answer', async () => {
  const { output_ids } = goldenCase('apple.0');
  const request = demo.golden(goldenCase('apple.0'));
  const answer = collect(demo.engine.submit(request));
  await steps();
  // The text before the picture is computed already; what is missing holds the rest.
  expect(demo.engine.stats()).toMatchObject({ running: 1, slotsInUse: 1, heldTiles: 0 });
  const prefilled = demo.engine.stats().prefillTokens;
  await steps();
  expect(demo.engine.stats().prefillTokens).toBe(prefilled);
  demo.engine.provideTile({
    requestId: request.requestId,
    item: 3,
    tile: 0,
    tokens: demo.pictures.get('cat') as Float32Tensor,
    timings: [],
  });
  demo.provide(request, 0, 'apple');
  demo.provide(request, 0, 'cat');
  const { tokenIds, events } = await answer;
  expect(tokenIds).toEqual(output_ids);
  expect(events.filter(({ type }) => type === 'tileArrived')).toHaveLength(1);
  expect(events.findIndex(({ type }) => type === 'prefillStarted')).toBeLessThan(
    events.findIndex(({ type }) => type === 'tileArrived'),
  );
  expect(demo.engine.stats()).toMatchObject(free);
});

test('a sequence that waits for its picture does not hold up one that needs none', async () => {
  const request = demo.golden(goldenCase('cat.0'));
  const waiting = collect(demo.engine.submit(request));
  expect((await demo.start(goldenCase('text.0'))).tokenIds).toEqual(goldenCase('text.0').output_ids);
  demo.provide(request, 0, 'cat');
  expect((await waiting).tokenIds).toEqual(goldenCase('cat.0').output_ids);
});

test('several pictures in several turns: any order of arrival gives the same answer', async () => {
  const messages = [user(0, 'What is this?'), assistant('This is a red apple.'), user(1, 2, 'And this?', 0)];
  const pictures = ['apple', 'cat', 'rocket'];
  const run = async (order: readonly number[], late: boolean) => {
    const request = demo.request(messages, { media: [wholePicture, wholePicture, wholePicture] });
    const answer = collect(demo.engine.submit(request));
    for (const item of order) {
      if (late) await steps();
      demo.provide(request, item, pictures[item] as string);
    }
    return answer;
  };
  const reference = await run([0, 1, 2], false);
  expect(reference.error).toBeUndefined();
  expect(reference.events[0]).toMatchObject({
    type: 'admitted',
    byModality: [{ modality: Modality.TEXT }, { modality: Modality.IMAGE, tokenCount: 36 }],
  });
  expect(reference.tokenIds.length).toBeGreaterThan(0);
  for (const order of [
    [2, 1, 0],
    [1, 2, 0],
    [0, 2, 1],
  ]) {
    for (const late of [true, false]) expect((await run(order, late)).tokenIds).toEqual(reference.tokenIds);
  }
  // The pictures are seen: others give other numbers.
  const swapped = demo.request([user(0, 'What is this?')], { media: [wholePicture] });
  const other = collect(demo.engine.submit(swapped));
  demo.provide(swapped, 0, 'rocket');
  expect((await other).tokenIds).not.toEqual(goldenCase('apple.0').output_ids);
  expect(demo.engine.stats()).toMatchObject(free);
});

test('a picture in tiles: each goes to its own span', async () => {
  const { THUMBNAIL, PART } = SegmentRole;
  const picture = pictureOf(...[THUMBNAIL, PART, PART].map((role) => ({ role, tokenCount: 9 })));
  const run = async (order: readonly number[]) => {
    const request = demo.request([user(0, 'What is this?')], { media: [picture] });
    const answer = collect(demo.engine.submit(request));
    for (const tile of order) {
      await steps(3);
      const tokens = demo.pictures.get(['apple', 'cat', 'rocket'][tile] as string) as Float32Tensor;
      demo.engine.provideTile({ requestId: request.requestId, item: 0, tile, tokens, timings: [] });
    }
    return answer;
  };
  const inOrder = await run([0, 1, 2]);
  expect(inOrder.finished).toBeDefined();
  expect(inOrder.events.filter(({ type }) => type === 'tileArrived')).toHaveLength(3);
  expect((await run([2, 0, 1])).tokenIds).toEqual(inOrder.tokenIds);
});

test('visual tokens of the wrong shape, and a failed tile, end their request alone', async () => {
  const wrong = demo.golden(goldenCase('apple.0'));
  const failed = demo.golden(goldenCase('apple.0'));
  const answers = [wrong, failed].map((request) => collect(demo.engine.submit(request)));
  const good = demo.start(goldenCase('apple.0'));
  const tokens: Float32Tensor = { dtype: 'float32', shape: [8, 256], data: new Float32Array(8 * 256) };
  demo.engine.provideTile({ requestId: wrong.requestId, item: 0, tile: 0, tokens, timings: [] });
  const error = new TesseraError('MEDIA_CORRUPT', 'cut short');
  // A failure of something that nobody waits for changes nothing.
  demo.engine.failTile({ requestId: failed.requestId, item: 0, tile: 7, attempt: 1, error });
  demo.engine.failTile({ requestId: failed.requestId, item: 0, attempt: 1, error });
  expect((await answers[0])?.error).toMatchObject({ code: 'TENSOR_INVALID', message: /\[8, 256\].*\[9, 256\]/ });
  expect((await answers[1])?.error).toBe(error);
  expect((await good).tokenIds).toEqual(goldenCase('apple.0').output_ids);
  expect(demo.engine.stats()).toMatchObject(free);
});

/** A clock that the test moves: what the engine waits for passes at once. */
async function withClock(run: (pass: (ms: number) => Promise<void>) => Promise<void>): Promise<void> {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
  const pass = async (ms: number): Promise<void> => {
    await vi.advanceTimersByTimeAsync(ms);
    await steps();
  };
  try {
    await run(pass);
  } finally {
    vi.useRealTimers();
  }
}

/** Which item the engine asked for, in which minute. */
function askings(request: EngineRequest): { readonly asked: string[]; readonly answer: Promise<Answer> } {
  const startMs = Date.now();
  const asked: string[] = [];
  const watched = async function* (events: AsyncIterable<EngineEvent>): AsyncGenerator<EngineEvent> {
    for await (const event of events) {
      if (event.type === 'tileNeeded') asked.push(`${event.item} at ${(Date.now() - startMs) / 60_000}`);
      yield event;
    }
  };
  return { asked, answer: collect(watched(demo.engine.submit(request))) };
}

test('missing tiles are asked for until the deadline, after pauses that grow; one that comes starts them again', async () => {
  await withClock(async (pass) => {
    const request = demo.request([user(0, 1, 'What is this?')], {
      media: [wholePicture, wholePicture],
      deadlineMs: Date.now() + 40 * 60_000,
    });
    const { asked, answer } = askings(request);
    const minutes = async (count: number): Promise<string[]> => {
      for (let n = 0; n < count; n++) await pass(60_000);
      return asked.splice(0);
    };
    expect(await minutes(15)).toEqual([1, 3, 7, 15].flatMap((at) => [`0 at ${at}`, `1 at ${at}`]));
    expect(await minutes(9)).toEqual(['0 at 23', '1 at 23']);
    demo.provide(request, 0, 'apple');
    expect(await minutes(7)).toEqual(['1 at 25', '1 at 27', '1 at 31']);
    await pass(10 * 60_000);
    expect((await answer).error).toMatchObject({ code: 'DEADLINE_EXCEEDED', message: /visual tokens of 1 tiles/ });
    expect(demo.engine.stats()).toMatchObject(free);
  });
});

test('a failure that cannot get better ends the request whichever attempt found it', async () => {
  await withClock(async (pass) => {
    for (const attempt of [1, 3, 9]) {
      const request = demo.golden(goldenCase('apple.0'), { attempt: 3, deadlineMs: Date.now() + 3_600_000 });
      const { answer } = askings(request);
      await pass(60_000);
      const error = new TesseraError('MEDIA_CORRUPT', 'cut short');
      demo.engine.failTile({ requestId: request.requestId, item: 0, tile: 0, attempt, error });
      expect((await answer).error).toBe(error);
    }
  });
});

test('a failure that may pass ends the request only when no newer attempt can succeed', async () => {
  const error = new TesseraError('DELIVERY_EXHAUSTED', 'connector: delivered four times');
  await withClock(async (pass) => {
    const ask = () => demo.golden(goldenCase('apple.0'), { attempt: 3, deadlineMs: Date.now() + 3_600_000 });
    const fail = (request: EngineRequest, attempt: number, tile: number | undefined = 0) =>
      demo.engine.failTile({ requestId: request.requestId, item: 0, tile, attempt, error });

    // Nothing was asked for since: the job that failed is the only one.
    const only = ask();
    const ended = askings(only).answer;
    await pass(0);
    fail(only, 3);
    expect((await ended).error).toBe(error);

    // The tile was asked for meanwhile, or it is an earlier engine's: it is asked for again at once.
    const again = ask();
    const { asked, answer } = askings(again);
    await pass(0);
    fail(again, 2);
    await pass(0);
    expect(asked).toEqual(['0 at 0']);
    fail(again, 3, undefined);
    await pass(0);
    expect(asked).toEqual(['0 at 0', '0 at 0']);
    demo.provide(again, 0, 'apple');
    expect((await answer).tokenIds).toEqual(goldenCase('apple.0').output_ids);

    // What was asked for failed as well.
    const last = ask();
    const failed = askings(last).answer;
    await pass(60_000);
    fail(last, 4);
    expect((await failed).error).toBe(error);
  });
});
