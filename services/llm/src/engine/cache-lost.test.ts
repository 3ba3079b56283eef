import type { Bundle } from '@tessera/bundle';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { eventually } from '@tessera/testing/async/eventually';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import type { StepPlan } from '../model/step-plan.js';
import { greedySampling } from '../sampling/sampling-options.js';
import { collect, DemoEngine, testLimits, user } from '../testing/demo-engine.js';
import { hashEngine, hashRequest } from '../testing/hash-engine.js';
import { HashExecutor } from '../testing/hash-executor.js';
import { localPipeline } from '../testing/local-pieces.js';
import { withExecute } from '../testing/with-execute.js';
import { engineCoreOptions } from './create-engine-core.js';
import type { EngineEvent, EngineRequest } from './engine.js';
import { EngineCore } from './engine-core.js';

let bundle: Bundle;

beforeAll(async () => {
  bundle = await smallLlamaBundle('layers=3');
});

/** An engine over the model in pieces, or whole. */
async function engineOver(how: 'whole' | 'pieces', losesIn: (plan: StepPlan) => boolean = () => false) {
  const session = { threads: 1, device: 'cpu' } as const;
  const limits = { ...testLimits, maxRunning: 4 };
  const options = await engineCoreOptions({ modelDir: bundle.dir, session, limits });
  if (how === 'whole') {
    const demo = await DemoEngine.of(bundle, options);
    onTestFinished(() => demo.close());
    return { demo, others: undefined, losses: [] };
  }
  await options.executor.release();
  const size = { slots: limits.maxRunning, maxPositions: options.model.maxPositions, stepsAtOnce: 0 };
  const { executor, others } = await localPipeline(bundle, size);
  const losses: string[] = [];
  const watched = withExecute(executor, (plan) => {
    if (losesIn(plan)) others.lose(1, 'replaced');
    return executor.execute(plan);
  });
  const demo = await DemoEngine.of(bundle, {
    ...options,
    executor: watched,
    onCacheLost: ({ message }) => losses.push(message),
  });
  onTestFinished(() => demo.close());
  return { demo, others, losses };
}

type Over = Awaited<ReturnType<typeof engineOver>>;

const questions = ['Hello!', 'What is a cat?', 'Count to five, please.'];

/** Three answers of forty tokens, with choices by chance; `at` is called when so many tokens are written. */
async function answers({ demo }: Over, at?: { readonly tokens: number; readonly what: () => void }) {
  let written = 0;
  async function* watched(events: AsyncIterable<EngineEvent>): AsyncGenerator<EngineEvent> {
    for await (const event of events) {
      if (event.type === 'tokens') {
        const before = written;
        written += event.tokenIds.length;
        if (at !== undefined && before < at.tokens && written >= at.tokens) at.what();
      }
      yield event;
    }
  }
  const text = { maxTokens: 40, minTokens: 40, temperature: 1, seed: 5n };
  return await Promise.all(
    questions.map(async (question) => {
      const answer = await collect(watched(demo.engine.submit(demo.request([user(question)], { text }))));
      return { tokenIds: answer.tokenIds, text: answer.text, error: answer.error };
    }),
  );
}

test('an engine over pieces answers as one over the whole', async () => {
  const expected = await answers(await engineOver('whole'));
  for (const { tokenIds } of expected) expect(tokenIds).toHaveLength(40);
  expect(new Set(expected.map(({ text }) => text)).size).toBe(3);
  expect(await answers(await engineOver('pieces'))).toEqual(expected);
});

test.each([2, 15, 60, 100])(
  'a piece that is replaced after %i tokens: nothing is repeated or left out',
  async (tokens) => {
    const expected = await answers(await engineOver('whole'));
    const over = await engineOver('pieces');
    expect(await answers(over, { tokens, what: () => over.others?.lose(0, 'replaced') })).toEqual(expected);
    expect(over.losses).toEqual(['piece 1 is gone']);
    expect(over.demo.engine.stats()).toMatchObject({ cacheLosses: 1, running: 0, waiting: 0, slotsInUse: 0 });
  },
);

test('what loses the cache whenever it is computed ends by that, and the others go on', async () => {
  const long = [user('cat '.repeat(40))];
  const over = await engineOver('pieces', ({ rows }) =>
    rows.some(({ position, tokenIds }) => position === 0 && tokenIds.length > 40),
  );
  const { error } = await collect(over.demo.engine.submit(over.demo.request(long)));
  expect(error).toMatchObject({
    code: 'STAGE_UNAVAILABLE',
    message: 'the KV cache was lost 3 times in a row: piece 2 is gone',
  });
  expect(over.losses).toHaveLength(3);
  const text = { maxTokens: 3 };
  const after = await collect(over.demo.engine.submit(over.demo.request([user('Hello!')], { text })));
  expect(after.finished?.completionTokens).toBe(3);
  expect(over.demo.engine.stats()).toMatchObject({ cacheLosses: 3, running: 0, waiting: 0, slotsInUse: 0 });
});

test('losses with tokens in between end nothing, however many', async () => {
  const expected = await answers(await engineOver('whole'));
  let step = 0;
  const over = await engineOver('pieces', () => step++ % 5 === 4);
  expect(await answers(over)).toEqual(expected);
  expect(over.losses.length).toBeGreaterThan(5);
});

test('while a piece is away no step is tried, and all goes on when it is back', async () => {
  const expected = await answers(await engineOver('whole'));
  const over = await engineOver('pieces');
  const answering = answers(over, { tokens: 30, what: () => over.others?.lose(1, 'away') });
  await eventually(() => over.losses.length === 1, 'the cache is lost');
  const { steps } = over.demo.engine.stats();
  await new Promise((resolve) => setTimeout(resolve, 50));
  // One that came meanwhile waits with the others.
  const late = over.demo.engine.submit(over.demo.request([user('Hello!')], { text: { maxTokens: 3 } }));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(over.demo.engine.stats()).toMatchObject({ steps, cacheLosses: 1, running: 0 });
  over.others?.comeBack();
  expect(await answering).toEqual(expected);
  expect((await collect(late)).finished?.completionTokens).toBe(3);
});

test('a deadline that passes while a piece is away says so', async () => {
  const over = await engineOver('pieces');
  over.others?.lose(0, 'away');
  const request = over.demo.request([user('Hello!')], { deadlineMs: Date.now() + 50 });
  expect((await collect(over.demo.engine.submit(request))).error).toMatchObject({
    code: 'DEADLINE_EXCEEDED',
    message: expect.stringContaining('piece 1 is gone'),
  });
});

test('a beginning that was kept is gone with the cache, and a conversation that goes on from it is answered right', async () => {
  const asked = async (over: Over) => {
    const text = { maxTokens: 24, minTokens: 24, temperature: 0 };
    const media = { cacheScope: 'one' };
    const first = await collect(
      over.demo.engine.submit(over.demo.request([user(questions.join(' '))], { text, ...media })),
    );
    over.others?.lose(1, 'replaced');
    const again = await collect(
      over.demo.engine.submit(over.demo.request([user(questions.join(' '))], { text, ...media })),
    );
    return [first.tokenIds, again.tokenIds];
  };
  const over = await engineOver('pieces');
  const [first, again] = await asked(over);
  expect(again).toEqual(first);
  expect([first, again]).toEqual(await asked(await engineOver('whole')));
  expect(over.losses).toHaveLength(1);
});

test('one that waits, and counted on what was kept, asks for its tiles when that is lost, not when its turn comes', async () => {
  let loses = false;
  const executor = new HashExecutor({
    slots: 1,
    maxPositions: 200,
    maxBytes: 400 * 16,
    hasMemory: () => true,
    losesCache: () => {
      const now = loses;
      loses = false;
      return now ? 0 : undefined;
    },
  });
  const core = new EngineCore(
    hashEngine(executor, {
      maxPositions: 200,
      kvBytes: 400 * 16,
      conditionRows: 1,
      maxDrawings: 0,
      limits: { maxRunning: 1 },
    }),
  );
  onTestFinished(() => core.close());
  const seen: string[] = [];
  const provide = (requestId: string): void => {
    const tokens = { dtype: 'float32' as const, shape: [5, 1], data: Float32Array.of(50, 51, 52, 53, 54) };
    core.provideTile({ requestId, item: 0, tile: 0, tokens, timings: [] });
  };
  const ask = (requestId: string, options: Partial<EngineRequest>, onToken = () => {}) =>
    new Promise<void>((resolve, reject) => {
      const put = (event: EngineEvent): void => {
        seen.push(
          event.type === 'admitted' ? `${requestId}: ${event.cachedTokens} cached` : `${requestId}: ${event.type}`,
        );
        if (event.type === 'tileNeeded') provide(requestId);
        if (event.type === 'tokens') onToken();
      };
      core.submit(hashRequest(requestId, tokenIds, { tilesOnDemand: true, ...options }), {
        put,
        fail: reject,
        end: resolve,
      });
    });
  const tokenIds = Array.from({ length: 40 }, (_, n) => n % 20);
  const prompt = { tokenIds, spans: [{ item: 0, tile: 0, start: 5, length: 5 }], byModality: [] };
  await ask('before', { prompt, maxTokens: 1 });
  expect(seen.filter((event) => event.startsWith('before: tile'))).toEqual([
    'before: tileNeeded',
    'before: tileArrived',
  ]);

  let waiting: Promise<void> | undefined;
  const sampling = { ...greedySampling, minTokens: 60 };
  await ask('running', { cacheScope: 'other', sampling, maxTokens: 60 }, () => {
    waiting ??= ask('waiting', { prompt, maxTokens: 1 });
    // Not before the step after the one in which it came: it has counted on the cache by then.
    if (core.stats().waiting === 1 && core.stats().cacheLosses === 0) loses = true;
  });
  await waiting;
  expect(core.stats().cacheLosses).toBe(1);
  const ofInterest = seen.filter((event) => /^waiting|running: finished/.test(event));
  expect(ofInterest).toEqual([
    'waiting: 39 cached',
    'waiting: tileNeeded',
    'waiting: tileArrived',
    'running: finished',
    'waiting: prefillStarted',
    'waiting: tokens',
    'waiting: finished',
  ]);
  expect(executor.problems).toEqual(new Set());
});
