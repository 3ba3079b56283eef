import type { Float32Tensor } from '@tessera/protocol';
import { goldenCase } from '@tessera/testing/demo-model/goldens';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { expect, onTestFinished, test } from 'vitest';
import { type Answer, collect, DemoEngine, wholePicture } from '../testing/demo-engine.js';
import type { EngineEvent } from './engine.js';

/**
 * Begins an answer in an engine with one slot, lets another one of a higher priority have the slot once so many tokens are
 * written, and gives every tile whenever it is asked for.
 */
async function preempted(id: string, tokens: number, reusePrefixes: boolean) {
  const demo = await DemoEngine.create({ maxRunning: 1, reusePrefixes });
  onTestFinished(() => demo.close());
  const media = goldenCase(id).image === null ? [] : [{ ...wholePicture, digest: Uint8Array.of(1) }];
  const request = demo.golden(goldenCase(id), { priority: -1, client: 'one', cacheScope: 'one', media });
  let high: Promise<Answer> | undefined;
  let written = 0;
  async function* watched(): AsyncGenerator<EngineEvent> {
    for await (const event of demo.engine.submit(request)) {
      if (event.type === 'tileNeeded') demo.provide(request, event.item, goldenCase(id).image ?? '');
      if (event.type === 'tokens') written += event.tokenIds.length;
      if (written >= tokens && high === undefined) {
        high = collect(demo.engine.submit(demo.golden(goldenCase('text.1'), { client: 'other', cacheScope: 'other' })));
      }
      yield event;
    }
  }
  const answer = collect(watched());
  if (goldenCase(id).image !== null) demo.provide(request, 0, goldenCase(id).image ?? '');
  const low = await answer;
  return { low, high: await high, stats: demo.engine.stats() };
}

test.each([
  ['words', 'text.0', true],
  ['words, nothing of which is kept', 'text.0', false],
  ['a picture', 'pair.2', true],
  ['a picture, nothing of which is kept', 'pair.2', false],
])('%s: an answer that loses its slot to another goes on where it was, and repeats nothing', async (_, id, kept) => {
  const { low, high, stats } = await preempted(id, 12, kept);
  expect(stats.preemptions).toBe(1);
  expect(high?.tokenIds).toEqual(goldenCase('text.1').output_ids);
  expect(low.tokenIds).toEqual(goldenCase(id).output_ids);
  const asked = low.events.filter(({ type }) => type === 'tileNeeded');
  expect(asked).toHaveLength(id === 'pair.2' && !kept ? 1 : 0);
  // What it takes up again is its own.
  expect(low.finished?.cachedTokens).toBe(0);
  // The other one was served first.
  expect(low.finished?.timing.decodeMs).toBeGreaterThan(high?.finished?.timing.decodeMs ?? Number.POSITIVE_INFINITY);
});

test.each([true, false])('a drawing that is asked for after that has its condition (kept: %s)', async (kept) => {
  const undisturbed = await preempted('text.2', 1000, kept);
  expect(undisturbed.stats.preemptions).toBe(0);
  const { low, stats } = await preempted('text.2', 8, kept);
  expect(stats.preemptions).toBe(1);
  expect(low.tokenIds).toEqual(goldenCase('text.2').output_ids);
  const [condition, expected] = [low.drawings[0], undisturbed.low.drawings[0]] as [Float32Tensor, Float32Tensor];
  expect(condition.shape).toEqual(expected.shape);
  expect(relativeError(condition, expected)).toBeLessThan(1e-4);
});
