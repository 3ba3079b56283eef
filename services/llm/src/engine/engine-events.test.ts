import { expect, test } from 'vitest';
import type { EngineEvent } from './engine.js';
import { engineEvents } from './engine-events.js';

const tokens = (tokenIds: number[], text: string, asked = true): EngineEvent => ({
  type: 'tokens',
  tokenIds,
  text,
  ...(asked && { likelihoods: tokenIds.map((tokenId) => ({ tokenId, logprob: -tokenId, top: [] })) }),
});

async function read(...events: EngineEvent[]): Promise<EngineEvent[]> {
  const queue = engineEvents(() => undefined);
  for (const event of events) queue.put(event);
  queue.end();
  const seen: EngineEvent[] = [];
  for await (const event of queue) seen.push(event);
  return seen;
}

test('tokens that were not fetched are joined, and their likelihoods with them', async () => {
  expect(await read(tokens([1], 'a'), tokens([2, 3], 'bc'))).toEqual([tokens([1, 2, 3], 'abc')]);
  expect(await read(tokens([1], 'a', false), tokens([2], 'b', false))).toEqual([tokens([1, 2], 'ab', false)]);
});

test('of likelihoods no more are joined than a message easily holds', async () => {
  const many = Array.from({ length: 1000 }, (_, id) => tokens([id], 'x'));
  const seen = await read(...many);
  expect(seen.map((event) => (event.type === 'tokens' ? event.tokenIds.length : 0))).toEqual([256, 256, 256, 232]);
});
