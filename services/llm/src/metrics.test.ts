import { TesseraError } from '@tessera/protocol';
import { Metrics } from '@tessera/service';
import { goldenCase } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { EngineRequest } from './engine/engine.js';
import { LlmMetrics } from './metrics.js';
import { assistant, DemoEngine, user } from './testing/demo-engine.js';

let demo: DemoEngine;

beforeAll(async () => {
  demo = await DemoEngine.create({ maxRunning: 1, speculativeTokens: 4 });
});

afterAll(() => demo.close());

function measured() {
  const metrics = new Metrics();
  const llm = new LlmMetrics(metrics, demo.engine);
  onTestFinished(() => llm.stop());
  const values = async (name: string) => (await metrics.registry.getSingleMetric(name)?.get())?.values ?? [];
  /** Of a histogram, how many there were. */
  const value = async (name: string): Promise<number | undefined> => (await values(name)).at(-1)?.value;
  return { llm, values, value };
}

test('what the engine counts is counted once, however often it is looked at', async () => {
  const { llm, value } = measured();
  const answered = async (request: EngineRequest, afterTokens = (): void => {}): Promise<void> => {
    using meter = llm.answer();
    for await (const event of demo.engine.submit(request)) {
      meter.note(event);
      if (event.type === 'tokens') afterTokens();
    }
  };
  const counted = async () => ({
    preemptions: await value('tessera_preemptions_total'),
    cacheLosses: await value('tessera_kv_cache_losses_total'),
    prefillTokens: await value('tessera_prefill_tokens_total'),
    cachedTokens: await value('tessera_prefix_cache_hit_tokens_total'),
    decodeTokens: await value('tessera_decode_tokens_total'),
    proposedTokens: await value('tessera_speculation_proposed_tokens_total'),
    acceptedTokens: await value('tessera_speculation_accepted_tokens_total'),
  });
  const { question, answer } = goldenCase('text.1');
  for (let round = 0; round < 2; round++) {
    let high: Promise<void> | undefined;
    // An answer that was given before, which is guessed; it loses its slot to another one.
    await answered(demo.request([user(question), assistant(answer), user(question)], { priority: -1 }), () => {
      high ??= answered(demo.golden(goldenCase('text.1')));
    });
    await high;
    // It looks at the figures once more as it stops, and may be stopped again.
    llm.stop();
    const stats = demo.engine.stats();
    expect(await counted()).toEqual({
      preemptions: stats.preemptions,
      cacheLosses: 0,
      prefillTokens: stats.prefillTokens,
      cachedTokens: stats.cachedTokens,
      decodeTokens: stats.decodeTokens,
      proposedTokens: stats.proposedTokens,
      acceptedTokens: stats.acceptedTokens,
    });
    expect(await value('tessera_busy_seconds_total')).toBeCloseTo(stats.busyMs / 1000, 6);
    expect(stats.preemptions).toBe(round + 1);
    expect(Math.min(stats.cachedTokens, stats.proposedTokens)).toBeGreaterThan(0);
  }
});

test('the first token of each answer is timed, and every token that comes after its first ones', async () => {
  const { llm, value } = measured();
  let later = 0;
  for (const id of ['text.0', 'text.1']) {
    using meter = llm.answer();
    let isFirst = true;
    for await (const event of demo.engine.submit(demo.golden(goldenCase(id)))) {
      meter.note(event);
      if (event.type !== 'tokens') continue;
      if (!isFirst) later += event.tokenIds.length;
      isFirst = false;
    }
  }
  expect(await value('tessera_time_to_first_token_seconds')).toBe(2);
  expect(later).toBeGreaterThan(4);
  expect(await value('tessera_inter_token_latency_seconds')).toBe(later);
});

test('what runs is told as it is when somebody looks', async () => {
  const { values } = measured();
  const looked = async () => {
    const names = ['requests_running', 'requests_waiting', 'requests_waiting_for_tiles', 'kv_cache_bytes'];
    return Promise.all(names.map(async (name) => (await values(`tessera_${name}`))[0]?.value));
  };
  expect((await looked()).slice(0, 3)).toEqual([0, 0, 0]);
  const long = { text: { maxTokens: 1500, temperature: 50, seed: 1n } };
  const running = demo.engine.submit(demo.request([user('Hello!')], long));
  const waiting = [demo.request([user('Hello!')], long), demo.golden(goldenCase('apple.0'))];
  for (const request of waiting) demo.engine.submit(request);
  for await (const event of running) {
    if (event.type !== 'tokens') continue;
    expect(await looked()).toEqual([1, 1, 1, demo.engine.stats().cacheBytes]);
    break;
  }
  for (const { requestId } of waiting) demo.engine.cancel(requestId);
});

test.each([
  ['whose reader left', undefined, true, 'cancelled'],
  ['that was cancelled', 'CANCELLED', true, 'cancelled'],
  ['whose deadline passed', 'DEADLINE_EXCEEDED', true, 'late'],
  ['that failed', 'STAGE_UNAVAILABLE', true, 'failed'],
  ['that was refused', 'QUEUE_FULL', false, undefined],
] as const)('time is wasted on an answer %s', async (_, code, isBegun, reason) => {
  const { llm, values } = measured();
  {
    using meter = llm.answer();
    if (isBegun) meter.note({ type: 'prefillStarted' });
    if (code !== undefined) meter.failed(new TesseraError(code, 'it is'));
  }
  const wasted = await values('tessera_wasted_seconds_total');
  expect(wasted.map(({ labels }) => labels)).toEqual(reason === undefined ? [] : [{ stage: 'llm', reason }]);
});

test('no time is wasted on an answer that came to its end', async () => {
  const { llm, values } = measured();
  {
    using meter = llm.answer();
    for await (const event of demo.engine.submit(demo.golden(goldenCase('text.0')))) meter.note(event);
  }
  expect(await values('tessera_wasted_seconds_total')).toEqual([]);
});
