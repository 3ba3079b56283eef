import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import type { ModelExperts, RoutingCounts } from './model-experts.js';

const schema = z.strictObject({
  /** By layer with experts, then by expert: rows that it got. */
  layers: z.array(z.array(z.number().nonnegative().finite())).min(1),
});

/** @throws TesseraError CONFIG_INVALID when the text is no such counts */
export function readRoutingCounts(text: string): RoutingCounts {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', 'the routing counts are not JSON', { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const why = z.prettifyError(parsed.error).replaceAll('\n', ' ');
    throw new TesseraError('CONFIG_INVALID', `the routing counts are wrong: ${why}`, { cause: parsed.error });
  }
  return parsed.data.layers;
}

/**
 * Counts as routers have them, in want of recorded ones: in each layer the n-th expert in some order is chosen in
 * proportion to 1 / n^skew.
 * @param skew 0: all alike; 1: the first of 8 gets a third
 */
export function syntheticCounts({ layers, perLayer }: ModelExperts, skew: number, seed: number): RoutingCounts {
  const random = generator(seed);
  return layers.map(() => {
    const order = Array.from({ length: perLayer }, (_, expert) => ({ expert, at: random() }));
    order.sort((a, b) => a.at - b.at);
    const counts = new Array<number>(perLayer).fill(0);
    for (const [rank, { expert }] of order.entries()) counts[expert] = Math.round(1e6 / (rank + 1) ** skew);
    return counts;
  });
}

/** mulberry32: small, and the same everywhere. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
