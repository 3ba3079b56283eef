import { afterAll, beforeAll, expect, test } from 'vitest';
import { collect, DemoEngine, user } from '../testing/demo-engine.js';
import { type GoldenCase, goldens } from '../testing/demo-model.js';
import type { EngineRequest } from './engine.js';

let demo: DemoEngine;
let cases: readonly GoldenCase[];

beforeAll(async () => {
  demo = await DemoEngine.create();
  cases = (await goldens()).cases;
});

afterAll(() => demo.close());

const wild = (seed: bigint, question = 'Hello!', delivered: readonly number[] = []): EngineRequest =>
  demo.request([user(question)], {
    text: { maxTokens: 24, temperature: 8, topP: 0.95, topK: 100, seed },
    deliveredTokenIds: [...delivered],
  });
const run = (request: EngineRequest) => collect(demo.engine.submit(request));

test('a seed gives the same text alone, again, and among others', async () => {
  const alone = await run(wild(7n));
  expect(alone.tokenIds.length).toBeGreaterThan(3);
  expect((await run(wild(7n))).text).toBe(alone.text);
  const crowd = await Promise.all([
    run(wild(1n, '画一个猫。')),
    run(wild(7n)),
    ...cases.map((golden) => demo.start(golden)),
    run(wild(7n)),
    run(wild(8n)),
  ]);
  expect(crowd[1]?.tokenIds).toEqual(alone.tokenIds);
  expect(crowd.at(-2)?.tokenIds).toEqual(alone.tokenIds);
  expect(crowd.at(-1)?.tokenIds).not.toEqual(alone.tokenIds);
  for (const [index, { id, output_ids }] of cases.entries()) expect(crowd[index + 2]?.tokenIds, id).toEqual(output_ids);
});

test('taken over after any token, the answer goes on with the same tokens and text, and repeats none', async () => {
  for (const question of ['Hello!', '你是谁？']) {
    const whole = await run(wild(9n, question));
    for (let count = 0; count <= whole.tokenIds.length; count++) {
      const rest = await run(wild(9n, question, whole.tokenIds.slice(0, count)));
      expect(rest.error).toBeUndefined();
      expect([...whole.tokenIds.slice(0, count), ...rest.tokenIds]).toEqual(whole.tokenIds);
      expect(rest.finished).toMatchObject({
        reason: whole.finished?.reason,
        completionTokens: whole.finished?.completionTokens,
      });
      expect(whole.text.endsWith(rest.text)).toBe(true);
    }
  }
});

test('cut between any two events, text before and after the takeover make up the whole', async () => {
  const request = demo.golden(cases.find(({ id }) => id === 'text.1') as GoldenCase);
  const whole = await run(request);
  const delivered: number[] = [];
  let text = '';
  for (const event of whole.events) {
    if (event.type !== 'tokens') continue;
    delivered.push(...event.tokenIds);
    text += event.text;
    const rest = await run({ ...request, attempt: 2, deliveredTokenIds: [...delivered] });
    expect(text + rest.text).toBe(whole.text);
  }
});

test('a takeover does not ask again for a drawing that is queued, and asks for one that is not', async () => {
  const draw = cases.find(({ id }) => id === 'text.2') as GoldenCase;
  const before = draw.output_ids.slice(0, -1);
  const whole = await demo.start(draw);
  const takeovers = await Promise.all([
    demo.start(draw, { deliveredTokenIds: draw.output_ids, queuedDrawings: 1 }),
    demo.start(draw, { deliveredTokenIds: before, queuedDrawings: 1 }),
    demo.start(draw, { deliveredTokenIds: before }),
  ]);
  expect(takeovers.map(({ drawings }) => drawings.length)).toEqual([0, 0, 1]);
  expect(takeovers.map(({ tokenIds }) => tokenIds)).toEqual([[], [2038], [2038]]);
  const [expected, actual] = [whole.drawings[0]?.data, takeovers[2]?.drawings[0]?.data];
  const difference = expected?.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (actual?.[i] ?? NaN))), 0);
  expect(difference).toBeLessThan(1e-3);
});

test('a drawing at the very limit of tokens is still made; beyond the limit of drawings it is passed over', async () => {
  const draw = cases.find(({ id }) => id === 'text.3') as GoldenCase;
  const limited = await demo.start(draw, { text: { maxTokens: draw.output_ids.length } });
  expect(limited.drawings).toHaveLength(1);
  expect(limited.tokenIds).toEqual(draw.output_ids);
  const none = await DemoEngine.create({ maxDrawings: 0 });
  try {
    const passed = await none.start(draw);
    expect(passed.drawings).toEqual([]);
    expect(passed.tokenIds).toEqual(draw.output_ids);
  } finally {
    await none.close();
  }
});
