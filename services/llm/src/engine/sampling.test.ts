import type { BundleManifest } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { FinishReason, type Float32Tensor, GenerateRequest } from '@tessera/protocol';
import { goldenCase, goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { asked, collect, DemoEngine, testLimits, user } from '../testing/demo-engine.js';
import { recordingLogits } from '../testing/with-execute.js';
import { engineCoreOptions } from './create-engine-core.js';
import type { EngineRequest } from './engine.js';
import { engineRequest } from './engine-request.js';
import { LlmEngine } from './llm-engine.js';

let demo: DemoEngine;

beforeAll(async () => {
  demo = await DemoEngine.create();
});

afterAll(() => demo.close());

// Firm answers: see testing/firm-answers.test.ts.
const wild = (seed: bigint, question = 'Hello!', delivered: readonly number[] = []): EngineRequest =>
  demo.request([user(question)], {
    text: { maxTokens: 24, temperature: 8, topP: 0.95, topK: 100, seed },
    forcedTokenIds: [...delivered],
  });

/** An engine of another manifest, and the logits from which it chose the tokens of its only sequence. */
async function withLogits(manifest: BundleManifest) {
  const modelDir = await demoBundleDir();
  const options = await engineCoreOptions({ modelDir, session: { threads: 1, device: 'cpu' }, limits: testLimits });
  const { executor, logits: rows } = recordingLogits(options.executor);
  const engine = new LlmEngine({ ...options, executor });
  onTestFinished(() => engine.close());
  let attempt = 0;
  const request = async (forcedTokenIds: number[]) => {
    rows.length = 0;
    const { question } = goldenCase('text.0');
    const generate = GenerateRequest.fromPartial({
      requestId: `logits-${attempt}`,
      attempt: ++attempt,
      prompt: asked(user(question)),
      text: { maxTokens: 30, stop: [] },
      forcedTokenIds,
    });
    const prepared = engineRequest(generate, demo.builder, manifest, Date.now() + 60_000);
    const { tokenIds } = await collect(engine.submit(prepared));
    return { prompt: prepared.prompt.tokenIds, tokenIds };
  };
  return { request, rows };
}

const run = (request: EngineRequest) => collect(demo.engine.submit(request));

test('a seed gives the same text alone, again, and among others', async () => {
  const alone = await run(wild(7n));
  expect(alone.tokenIds.length).toBeGreaterThan(3);
  expect((await run(wild(7n))).text).toBe(alone.text);
  const crowd = await Promise.all([
    run(wild(1n, '画一个猫。')),
    run(wild(7n)),
    ...goldenCases.map((golden) => demo.start(golden)),
    run(wild(7n)),
    run(wild(8n)),
  ]);
  expect(crowd[1]?.tokenIds).toEqual(alone.tokenIds);
  expect(crowd.at(-2)?.tokenIds).toEqual(alone.tokenIds);
  expect(crowd.at(-1)?.tokenIds).not.toEqual(alone.tokenIds);
  for (const [index, { id, output_ids }] of goldenCases.entries())
    expect(crowd[index + 2]?.tokenIds, id).toEqual(output_ids);
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

test('the repetition penalty of generation_config.json counts prompt, answer, and what was delivered', async () => {
  const penalty = 4;
  const manifest = { ...demo.manifest, generation: { ...demo.manifest.generation, repetitionPenalty: penalty } };
  const { request, rows } = await withLogits(manifest);
  const { prompt, tokenIds } = await request([]);
  const seen = new Set(prompt);
  for (const [index, id] of tokenIds.entries()) {
    // By hand: the likeliest once each token that came before has its penalty.
    const row = rows[index] as Float32Array;
    const scores = row.map((logit, at) => (!seen.has(at) ? logit : logit < 0 ? logit * penalty : logit / penalty));
    expect(scores.indexOf(Math.max(...scores))).toBe(id);
    seen.add(id);
  }
  expect(tokenIds).not.toEqual(goldenCase('text.0').output_ids);
  for (let count = 1; count < tokenIds.length; count++) {
    const rest = await request(tokenIds.slice(0, count));
    expect([...tokenIds.slice(0, count), ...rest.tokenIds]).toEqual(tokenIds);
  }
});

test('an answer that ends where the context does ends there after a takeover too', async () => {
  const short = await DemoEngine.create({ kvBytes: 40 * 6144 });
  try {
    const ask = (forcedTokenIds: number[]) =>
      collect(
        short.engine.submit(
          short.request([user('Hello!')], { text: { maxTokens: 500, temperature: 8, seed: 9n }, forcedTokenIds }),
        ),
      );
    const whole = await ask([]);
    expect(whole.finished?.reason).toBe(FinishReason.LENGTH);
    for (let count = 1; count <= whole.tokenIds.length; count++) {
      const rest = await ask(whole.tokenIds.slice(0, count));
      expect(rest.tokenIds).toEqual(whole.tokenIds.slice(count));
      expect(rest.finished).toMatchObject({
        reason: FinishReason.LENGTH,
        completionTokens: whole.finished?.completionTokens,
      });
    }
  } finally {
    await short.close();
  }
});

test('cut between any two events, text before and after the takeover make up the whole', async () => {
  const request = demo.golden(goldenCase('text.1'));
  const whole = await run(request);
  const delivered: number[] = [];
  let text = '';
  for (const event of whole.events) {
    if (event.type !== 'tokens') continue;
    delivered.push(...event.tokenIds);
    text += event.text;
    const rest = await run({ ...request, attempt: 2, forcedTokenIds: [...delivered] });
    expect(text + rest.text).toBe(whole.text);
  }
});

/** The greatest difference, as a share of the greatest value: see "What is equal to what" in docs/architecture.md. */
function difference(actual: Float32Tensor | undefined, expected: Float32Tensor | undefined): number {
  const [a, b] = [actual?.data ?? new Float32Array(), expected?.data ?? new Float32Array()];
  expect(a.length).toBe(b.length);
  const worst = b.reduce((most, value, i) => Math.max(most, Math.abs(value - (a[i] as number))), 0);
  return worst / b.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);
}

test('a takeover does not ask again for a drawing that is queued, and asks for one that is not', async () => {
  const draw = goldenCase('text.2');
  const before = draw.output_ids.slice(0, -1);
  const whole = await demo.start(draw);
  const takeovers = await Promise.all([
    demo.start(draw, { forcedTokenIds: draw.output_ids, queuedDrawings: 1 }),
    demo.start(draw, { forcedTokenIds: before, queuedDrawings: 1 }),
    demo.start(draw, { forcedTokenIds: before }),
  ]);
  expect(takeovers.map(({ drawings }) => drawings.length)).toEqual([0, 0, 1]);
  expect(takeovers.map(({ tokenIds }) => tokenIds)).toEqual([[], [2038], [2038]]);
  expect(difference(takeovers[2]?.drawings[0], whole.drawings[0])).toBeLessThan(1e-4);
});

// Two drawings and words after each. Which tokens a model would choose plays no part: all of them are given.
const drawToken = 2038;

test.each([1, 3, 64])('lost drawings are queued again while delivered tokens run in chunks of %i', async (chunk) => {
  const chunked = await DemoEngine.create({ maxChunkTokens: chunk });
  try {
    const words = chunked.builder.tokenizer.encode('one two three four five six seven');
    const delivered = [...words, drawToken, ...words, drawToken, ...words.slice(0, 2)];
    const run = (options: Partial<GenerateRequest>) =>
      collect(
        chunked.engine.submit(
          chunked.request([user('Draw.')], { ...options, text: { maxTokens: options.forcedTokenIds?.length ?? 1 } }),
        ),
      );
    const at = (count: number) => run({ forcedTokenIds: delivered.slice(0, count) });
    // The condition of a drawing is that of the same tokens without what follows them.
    const references = [await at(words.length + 1), await at(2 * words.length + 2)];
    for (const [queuedDrawings, expected] of [[0, 1], [1], []].entries()) {
      const { events, drawings, tokenIds, finished } = await run({ forcedTokenIds: delivered, queuedDrawings });
      expect(tokenIds).toEqual([]);
      expect(finished).toMatchObject({ reason: FinishReason.LENGTH, completionTokens: delivered.length });
      expect(events.flatMap((event) => (event.type === 'drawing' ? [event.drawing] : []))).toEqual(expected);
      for (const [index, drawing] of expected.entries()) {
        expect(difference(drawings[index], references[drawing]?.drawings[drawing])).toBeLessThan(1e-4);
      }
    }
    const many = await run({ forcedTokenIds: new Array<number>(9).fill(drawToken) });
    expect(many.drawings).toHaveLength(testLimits.maxDrawings);
  } finally {
    await chunked.close();
  }
});

test('a drawing at the very limit of tokens is still made; beyond the limit of drawings it is passed over', async () => {
  const draw = goldenCase('text.3');
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
