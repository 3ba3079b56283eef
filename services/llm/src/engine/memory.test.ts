import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { FinishReason, GenerateRequest } from '@tessera/protocol';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { expect, test } from 'vitest';
import { loadPromptBuilder } from '../prompt/load-prompt-builder.js';
import { asked, collect, DemoEngine, testLimits, user } from '../testing/demo-engine.js';
import { withExecute } from '../testing/with-execute.js';
import { engineCoreOptions } from './create-engine-core.js';
import { engineRequest } from './engine-request.js';
import { LlmEngine } from './llm-engine.js';

/** Keys and values, six layers, two heads of 64, four bytes. */
const rowBytes = 2 * 6 * 2 * 64 * 4;
const wild = { temperature: 8, seed: 3n, stop: [] };
const free = { running: 0, waiting: 0, slotsInUse: 0, cacheUsage: 0 };

test('a prompt that can never fit is refused at once with the limit; an answer ends at it', async () => {
  const demo = await DemoEngine.create({ kvBytes: 100 * rowBytes });
  try {
    expect(() => demo.request([user('word '.repeat(100))])).toThrow(
      expect.objectContaining({
        code: 'PROMPT_TOO_LONG',
        message: expect.stringMatching(/holds 100 tokens.*kv\.maxBytes.*2048/),
      }),
    );
    const request = demo.request([user('Hello!')], { text: { ...wild, maxTokens: 1500 } });
    const { finished } = await collect(demo.engine.submit(request));
    expect(finished?.reason).toBe(FinishReason.LENGTH);
    expect(request.prompt.tokenIds.length + (finished?.completionTokens ?? 0)).toBe(100);
    expect(demo.engine.stats()).toMatchObject(free);
  } finally {
    await demo.close();
  }
});

test('sequences wait for room: the cache never takes more than it may, and every answer comes whole', async () => {
  const kvBytes = 250 * rowBytes;
  const demo = await DemoEngine.create({ kvBytes });
  try {
    const run = (maxTokens: number) =>
      collect(demo.engine.submit(demo.request([user('Hello!')], { text: { ...wild, maxTokens } })));
    const lengths = [70, 20, 200, 30, 70, 20, 40, 10];
    let most = 0;
    let fullest = 0;
    let watching = true;
    const watch = (): void => {
      const { cacheBytes, cacheUsage } = demo.engine.stats();
      most = Math.max(most, cacheBytes);
      fullest = Math.max(fullest, cacheUsage);
      if (watching) setImmediate(watch);
    };
    watch();
    const answers = await Promise.all(lengths.map(run));
    watching = false;
    expect(answers.map(({ finished }) => finished?.completionTokens)).toEqual(lengths);
    expect(most).toBeLessThanOrEqual(kvBytes);
    expect(fullest).toBeLessThanOrEqual(1);
    expect(fullest).toBeGreaterThan(0.7);
    expect(demo.engine.stats()).toMatchObject(free);
  } finally {
    await demo.close();
  }
});

/** The real model, whose cache finds no memory for more than so many bytes: what no test can do to a machine. */
async function engineWithMemory(bytes: number) {
  const modelDir = await demoBundleDir();
  const options = await engineCoreOptions({ modelDir, session: { threads: 1, device: 'cpu' }, limits: testLimits });
  const { executor } = options;
  let room = { slots: 1, positions: 1 };
  const starved = withExecute(executor, async (plan) => {
    const { operations, slots, positions } = plan.cache;
    if (executor.slotBytesFor(slots, positions) > bytes) {
      await executor.execute({ cache: { operations, ...room, loads: [] }, rows: [] });
      return { noMemory: new RangeError('Array buffer allocation failed') };
    }
    room = { slots, positions };
    return await executor.execute(plan);
  });
  const failures: unknown[] = [];
  const onStepFailed = (error: unknown) => failures.push(error);
  const engine = new LlmEngine({ ...options, executor: starved, onStepFailed });
  const bundle = await readBundle(modelDir);
  const builder = await loadPromptBuilder(bundle);
  let nextId = 0;
  const ask = (text: string, maxTokens: number) => {
    const request = GenerateRequest.fromPartial({
      requestId: `memory-${nextId++}`,
      attempt: 1,
      prompt: asked(user(text)),
      text: { ...wild, temperature: 0, maxTokens },
    });
    return collect(engine.submit(engineRequest(request, builder, bundle.manifest, Date.now() + 60_000)));
  };
  return { engine, ask, failures };
}

test('memory that is not to be had ends one request, the longest; the others and the engine go on', async () => {
  const { engine, ask, failures } = await engineWithMemory(4 * 128 * rowBytes);
  const cases = goldenCases.filter(({ image }) => image === null);
  const [one, two] = cases;
  if (one === undefined || two === undefined) throw new Error('no cases');
  // Again and again: it is not the engine's fault.
  for (let n = 0; n < 4; n++) {
    const [first, long, second] = await Promise.all([
      ask(one.question, 100),
      ask('word '.repeat(500), 10),
      ask(two.question, 100),
    ]);
    expect(long?.error).toMatchObject({
      code: 'QUEUE_FULL',
      message: /kv\.maxBytes.*: Array buffer allocation failed/,
    });
    expect(first?.tokenIds).toEqual(one.output_ids);
    expect(second?.tokenIds).toEqual(two.output_ids);
    expect(failures).toHaveLength(n + 1);
  }
  expect(engine.stats()).toMatchObject(free);
  await engine.close();
});
