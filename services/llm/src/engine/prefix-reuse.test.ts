import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import type { Float32Tensor, PromptMessage } from '@tessera/protocol';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { expect, onTestFinished, test } from 'vitest';
import { kvBudget } from '../kv/kv-budget.js';
import { loadPromptBuilder } from '../prompt/load-prompt-builder.js';
import {
  type Answer,
  assistant,
  collect,
  DemoEngine,
  pictureOf,
  testLimits,
  user,
  wholePicture,
} from '../testing/demo-engine.js';
import { recordingLogits } from '../testing/with-execute.js';
import { engineCoreOptions } from './create-engine-core.js';
import type { EngineLimits } from './engine.js';
import { LlmEngine } from './llm-engine.js';

const pair = { ...pictureOf(...wholePicture.segments), digest: Uint8Array.of(1, 2, 3) };
const firstTurn = [user(0, 'Describe the picture.')];
const answered = [...firstTurn, assistant('A hammer on the left and a soft ice cream on the right.')];
const secondTurn = [...answered, user('What is on the left? Say it in one word, please, and nothing more than that.')];
const limited = { text: { maxTokens: 30, temperature: 0 } };

/** An engine, and the logits of all rows that it computed. */
async function engine(limits: Partial<EngineLimits> = {}) {
  const modelDir = await demoBundleDir();
  const bundle = await readBundle(modelDir);
  const session = { threads: 1, device: 'cpu' } as const;
  const options = await engineCoreOptions({ modelDir, session, limits: { ...testLimits, ...limits } });
  const { executor, logits } = recordingLogits(options.executor);
  const { pictures, close } = await picturesOfDemo();
  const { contextTokens } = kvBudget(bundle, options.kvBytes);
  const builder = await loadPromptBuilder(bundle, contextTokens);
  const demo = new DemoEngine(new LlmEngine({ ...options, executor }), builder, bundle.manifest, pictures);
  onTestFinished(async () => {
    await demo.close();
    await close();
  });
  return { demo, logits };
}

async function picturesOfDemo() {
  const demo = await DemoEngine.create();
  return { pictures: demo.pictures, close: () => demo.close() };
}

type Options = Parameters<DemoEngine['request']>[1];

/** @param picture given as soon as it is asked for, or, where it is not made on demand, at once */
async function ask(demo: DemoEngine, messages: PromptMessage[], options: Options & { picture?: string } = {}) {
  const { picture = 'pair', ...rest } = options;
  const request = demo.request(messages, { media: [pair], ...limited, ...rest });
  const needed: string[] = [];
  async function* watched() {
    for await (const event of demo.engine.submit(request)) {
      if (event.type === 'tileNeeded') {
        needed.push(`${event.item}/${event.tile}`);
        demo.provide(request, event.item, picture);
      }
      yield event;
    }
  }
  const answer = collect(watched());
  if (!request.tilesOnDemand) demo.provide(request, 0, picture);
  return { ...(await answer), needed, prompt: request.prompt.tokenIds.length };
}

function cachedTokens({ events }: Answer): number | undefined {
  return events.find((event) => event.type === 'admitted')?.cachedTokens;
}

test('the second turn of a conversation computes what is new, needs no picture again, and has the same numbers', async () => {
  const { demo, logits } = await engine();
  const reference = await engine({ reusePrefixes: false });
  const alone = await ask(reference.demo, secondTurn);
  expect(alone.finished?.cachedTokens).toBe(0);

  await ask(demo, answered.concat(user('?')));
  logits.length = 0;
  const before = demo.engine.stats();
  const next = await ask(demo, secondTurn, { mediaOnDemand: true });
  expect(next.needed).toEqual([]);
  expect(next.tokenIds).toEqual(alone.tokenIds);
  // All but what is new, and the positions that a drawing may be conditioned on.
  const cached = next.finished?.cachedTokens ?? 0;
  expect(cached).toBeGreaterThan(25);
  expect(cachedTokens(next)).toBe(cached);
  const after = demo.engine.stats();
  expect(after.prefillTokens - before.prefillTokens).toBe(next.prompt - cached);
  expect(after.cachedTokens - before.cachedTokens).toBe(cached);
  expect(logits).toHaveLength(reference.logits.length);
  for (const [index, row] of logits.entries())
    expect(
      relativeError(
        { shape: [row.length], data: row },
        { shape: [row.length], data: reference.logits[index] as Float32Array },
      ),
    ).toBeLessThan(1e-5);
});

test('other pictures, other clients, and pictures of which nothing is known share nothing', async () => {
  const { demo } = await engine();
  await ask(demo, secondTurn);
  const other = { ...pair, digest: Uint8Array.of(9) };
  const unknown = { ...pair, digest: new Uint8Array() };
  const [same, stranger, changed, nameless] = [
    await ask(demo, secondTurn, { mediaOnDemand: true }),
    await ask(demo, secondTurn, { mediaOnDemand: true, cacheScope: 'somebody else' }),
    await ask(demo, secondTurn, { mediaOnDemand: true, media: [other], picture: 'cat' }),
    await ask(demo, secondTurn, { mediaOnDemand: true, media: [unknown], picture: 'cat' }),
  ];
  expect([same, stranger, changed, nameless].map((answer) => answer.finished?.cachedTokens)).toEqual([
    expect.any(Number),
    0,
    0,
    0,
  ]);
  expect(same.finished?.cachedTokens).toBeGreaterThan(25);
  expect([same, stranger, changed, nameless].map(({ needed }) => needed)).toEqual([[], ['0/0'], ['0/0'], ['0/0']]);
  expect(changed.tokenIds).toEqual(nameless.tokenIds);
});

test('what was thought to be kept and had to go is asked for and computed', async () => {
  const rowBytes = 2 * 6 * 2 * 64 * 4;
  const { demo } = await engine({ maxRunning: 1, kvBytes: 250 * rowBytes });
  const { tokenIds } = await ask(demo, secondTurn);
  // It has the only slot, and grows until there is no room for anything else.
  const wild = { text: { maxTokens: 220, temperature: 8, seed: 3n, stop: [] } };
  const long = collect(demo.engine.submit(demo.request([user('Hello!')], wild)));
  const waiting = await ask(demo, secondTurn, { mediaOnDemand: true });
  expect((await long).finished?.completionTokens).toBe(220);
  expect(cachedTokens(waiting)).toBeGreaterThan(25);
  expect(waiting.finished?.cachedTokens).toBe(0);
  expect(waiting.needed).toEqual(['0/0']);
  expect(waiting.tokenIds).toEqual(tokenIds);
});

test.each([180, 200, 250])(
  'a conversation that takes much of the cache goes on, with room for %i positions',
  async (rows) => {
    const rowBytes = 2 * 6 * 2 * 64 * 4;
    const { demo } = await engine({ maxRunning: 1, kvBytes: rows * rowBytes });
    const words = Array.from({ length: 12 }, (_, n) => `Look at part ${n}.`).join(' ');
    const first = [user(0, words)];
    await ask(demo, first);
    const second = [
      ...first,
      assistant('A hammer on the left.'),
      user('And what do you see on the right of it, in one word?'),
    ];
    const [answer, again] = [await ask(demo, second, { mediaOnDemand: true }), await ask(demo, second)];
    expect(answer.error).toBeUndefined();
    expect(answer.tokenIds).toEqual(again.tokenIds);
  },
);

test('a takeover and a newcomer of a higher priority are both answered', async () => {
  const { demo } = await engine({ maxRunning: 1 });
  const [taken, newcomer] = await Promise.all([
    ask(demo, secondTurn, { takenOver: true }),
    ask(demo, secondTurn, { priority: 1 }),
  ]);
  expect([taken?.error, newcomer?.error]).toEqual([undefined, undefined]);
  expect(taken?.tokenIds).toEqual(newcomer?.tokenIds);
});

test('of a takeover whose answer is in the cache too, no more than the prompt is told to be cached', async () => {
  const { demo } = await engine();
  const wild = { text: { maxTokens: 60, temperature: 8, seed: 3n, stop: [] } };
  const question = [user('Hello! Say something wild, please, whatever comes to your mind.')];
  const answer = await collect(demo.engine.submit(demo.request(question, wild)));
  const forcedTokenIds = answer.tokenIds.slice(0, 50);
  const request = demo.request(question, { ...wild, forcedTokenIds });
  const resumed = await collect(demo.engine.submit(request));
  expect(resumed.finished?.completionTokens).toBe(answer.finished?.completionTokens);
  expect(cachedTokens(resumed)).toBe(request.prompt.tokenIds.length);
  expect(resumed.finished?.cachedTokens).toBe(request.prompt.tokenIds.length);
});

test('a drawing after positions from the cache has the condition that it has without', async () => {
  const drawing = [
    ...answered,
    user('Thank you.'),
    assistant('You are welcome.'),
    user('Draw a red apple on a blue background.'),
  ];
  const { demo } = await engine();
  const reference = await engine({ reusePrefixes: false });
  const alone = await ask(reference.demo, drawing);
  await ask(demo, secondTurn);
  const next = await ask(demo, drawing);
  expect(next.finished?.cachedTokens).toBeGreaterThan(25);
  expect(next.tokenIds).toEqual(alone.tokenIds);
  expect(next.drawings).toHaveLength(1);
  const [condition, expected] = [next.drawings[0], alone.drawings[0]] as [Float32Tensor, Float32Tensor];
  expect(condition.shape).toEqual(expected.shape);
  expect(relativeError(condition, expected)).toBeLessThan(1e-4);
});
