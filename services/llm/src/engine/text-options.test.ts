import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { FinishReason, type TextOptions } from '@tessera/protocol';
import { goldenCase } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { loadPromptBuilder } from '../prompt/load-prompt-builder.js';
import { collect, DemoEngine, testLimits, user } from '../testing/demo-engine.js';
import { isDecode, recordingLogits, withExecute } from '../testing/with-execute.js';
import { engineCoreOptions } from './create-engine-core.js';
import { LlmEngine } from './llm-engine.js';

let demo: DemoEngine;
const golden = goldenCase('text.0');

beforeAll(async () => {
  demo = await DemoEngine.create();
});

afterAll(() => demo.close());

const ask = (text: Partial<TextOptions>, forcedTokenIds: readonly number[] = []) =>
  collect(demo.engine.submit(demo.request([user(golden.question)], { text, forcedTokenIds: [...forcedTokenIds] })));

test('a stop token ends the answer before it, as a token that the model ends by does', async () => {
  const { output_ids: ids } = golden;
  const at = 3;
  expect(ids.indexOf(ids[at] as number)).toBe(at);
  const stopped = await ask({ stopTokenIds: [ids[at] as number] });
  expect(stopped.tokenIds).toEqual(ids.slice(0, at));
  expect(stopped.finished).toMatchObject({ reason: FinishReason.STOP, completionTokens: at });
  const text = demo.builder.tokenizer.encode(stopped.text);
  expect(text).toEqual(ids.slice(0, at));
});

test('neither the model nor a stop token ends an answer before min_tokens', async () => {
  const { output_ids: ids } = golden;
  const long = await ask({ minTokens: ids.length + 5, maxTokens: ids.length + 9 });
  expect(long.tokenIds.slice(0, ids.length)).toEqual(ids);
  expect(long.tokenIds.length).toBeGreaterThanOrEqual(ids.length + 5);
  const past = await ask({ stopTokenIds: [ids[3] as number], minTokens: 4, maxTokens: 6 });
  expect(past.tokenIds.slice(0, 3)).toEqual(ids.slice(0, 3));
  expect(past.tokenIds[3]).not.toBe(ids[3]);
  expect(past.tokenIds.length).toBeGreaterThanOrEqual(4);
});

test('a bias makes a token come, or keeps it away', async () => {
  const [first] = golden.output_ids as [number];
  const [word] = demo.builder.tokenizer.encode('x') as [number];
  expect((await ask({ logitBias: { [word]: 100 }, maxTokens: 5 })).tokenIds).toEqual(new Array(5).fill(word));
  expect((await ask({ logitBias: { [first]: -100 }, maxTokens: 5 })).tokenIds).not.toContain(first);
});

// Firm: see testing/firm-answers.test.ts.
const penalised = {
  maxTokens: 16,
  minTokens: 12,
  temperature: 8,
  topP: 0.95,
  topK: 100,
  minP: 0.02,
  seed: 9n,
  presencePenalty: 2,
  frequencyPenalty: 1.5,
  repetitionPenalty: 1.2,
};

test('after a takeover the penalties go on as if nothing had happened', async () => {
  const whole = await ask(penalised);
  expect(whole.tokenIds.length).toBeGreaterThanOrEqual(12);
  // The options have their effect.
  expect(whole.tokenIds).not.toEqual((await ask({ ...penalised, presencePenalty: 0, frequencyPenalty: 0 })).tokenIds);
  for (let count = 1; count <= whole.tokenIds.length; count++) {
    const rest = await ask(penalised, whole.tokenIds.slice(0, count));
    expect(rest.tokenIds).toEqual(whole.tokenIds.slice(count));
    expect(rest.finished?.completionTokens).toBe(whole.finished?.completionTokens);
  }
});

test('log-probabilities are those of the model, whatever the options make of them', async () => {
  const modelDir = await demoBundleDir();
  const options = await engineCoreOptions({ modelDir, session: { threads: 1, device: 'cpu' }, limits: testLimits });
  const { executor, logits: rows } = recordingLogits(options.executor);
  const engine = new LlmEngine({ ...options, executor });
  onTestFinished(() => engine.close());
  const text = { ...penalised, logitBias: { 5: 100, 6: 100 }, stop: ['no such text'], logprobs: { top: 5 } };
  const answer = await collect(engine.submit(demo.request([user(golden.question)], { text })));
  expect(answer.tokenIds.length).toBeGreaterThanOrEqual(12);
  const told = answer.events.flatMap((event) => (event.type === 'tokens' ? [event] : []));
  for (const { tokenIds, likelihoods } of told) expect(likelihoods?.map(({ tokenId }) => tokenId)).toEqual(tokenIds);
  for (const [at, { tokenId, logprob, top }] of told.flatMap(({ likelihoods = [] }) => likelihoods).entries()) {
    // By hand: the logarithm of the softmax.
    const row = [...(rows[at] as Float32Array)];
    const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const expected = row.map((logit) => Math.log(Math.exp(logit) / total));
    expect(logprob).toBeCloseTo(expected[tokenId] as number, 5);
    const likeliest = [...row.keys()].sort((a, b) => (row[b] as number) - (row[a] as number)).slice(0, 5);
    expect(top.map((one) => one.tokenId)).toEqual(likeliest);
    for (const one of top) expect(one.logprob).toBeCloseTo(expected[one.tokenId] as number, 5);
  }
});

test('text that is held back keeps the log-probabilities of its tokens; a takeover gives none twice', async () => {
  const whole = await ask({ logprobs: { top: 0 } });
  expect(whole.tokenIds).toEqual(golden.output_ids);
  const ids = ({ events }: typeof whole) =>
    events.flatMap((event) => (event.type === 'tokens' ? (event.likelihoods ?? []) : [])).map(({ tokenId }) => tokenId);
  expect(ids(whole)).toEqual(golden.output_ids);
  // Begins as the answer goes on, so that what is held back leaves later and together.
  const stop = [`${whole.text.slice(2, -1)}never`];
  expect(ids(await ask({ logprobs: { top: 0 }, stop }))).toEqual(golden.output_ids);
  for (const count of [1, 4]) {
    expect(ids(await ask({ logprobs: { top: 0 }, stop }, golden.output_ids.slice(0, count)))).toEqual(
      golden.output_ids.slice(count),
    );
  }
});

test('a sequence whose logits are not numbers fails for itself; the others of its batch go on', async () => {
  const modelDir = await demoBundleDir();
  const options = await engineCoreOptions({ modelDir, session: { threads: 1, device: 'cpu' }, limits: testLimits });
  const executor = withExecute(options.executor, async (plan) => {
    const result = await options.executor.execute(plan);
    // The second of three, in one place.
    const row = plan.rows.length === 3 && plan.rows.every(isDecode) && 'rows' in result ? result.rows[1] : undefined;
    if (row !== undefined && 'logits' in row) row.logits[1234] = Number.NaN;
    return result;
  });
  const stepFailures: unknown[] = [];
  const engine = new LlmEngine({ ...options, executor, onStepFailed: (error) => stepFailures.push(error) });
  onTestFinished(() => engine.close());
  const bundle = await readBundle(modelDir);
  const broken = new DemoEngine(engine, await loadPromptBuilder(bundle), bundle.manifest, new Map());
  const answers = await Promise.all([0, 1, 2].map(() => broken.start(golden)));
  const failed = answers.filter(({ error }) => error !== undefined);
  expect(failed.map(({ error }) => error)).toEqual([expect.objectContaining({ code: 'MODEL_OUTPUT_INVALID' })]);
  const whole = answers.filter(({ error }) => error === undefined);
  expect(whole.map(({ tokenIds }) => tokenIds)).toEqual([golden.output_ids, golden.output_ids]);
  expect(stepFailures).toEqual([]);
  expect(engine.stats()).toMatchObject({ running: 0, slotsInUse: 0 });
});

test.each<[field: string, text: Partial<TextOptions>]>([
  ['text.min_p', { minP: -0.1 }],
  ['text.min_p', { minP: Number.NaN }],
  ['text.presence_penalty', { presencePenalty: 2.1 }],
  ['text.frequency_penalty', { frequencyPenalty: -2.1 }],
  ['text.logit_bias[7]', { logitBias: { 7: 101 } }],
  ['text.logit_bias[2048]', { logitBias: { 2048: 1 } }],
  ['text.logit_bias', { logitBias: Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 1])) }],
  ['text.stop_token_ids', { stopTokenIds: [2048] }],
  ['text.stop_token_ids', { stopTokenIds: new Array(65).fill(1) }],
  ['text.logprobs.top', { logprobs: { top: 21 } }],
  ['text.min_tokens', { minTokens: 6, maxTokens: 5 }],
  ['text.min_tokens', { minTokens: 1_000_000 }],
])('%s out of its bounds is refused', (field, text) => {
  const refuse = () => demo.request([user('Hello!')], { text });
  expect(refuse).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID', options: { field } }));
});
