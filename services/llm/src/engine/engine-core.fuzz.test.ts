import type { ModalityTokens, TesseraError } from '@tessera/protocol';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, test } from 'vitest';
import { contentKeys } from '../prompt/content-keys.js';
import type { Prompt, TokenSpan } from '../prompt/prompt.js';
import { hashEngine, hashRequest } from '../testing/hash-engine.js';
import { HashExecutor, hashOf, hashTokens, tokenAfter } from '../testing/hash-executor.js';
import type { EngineEvent } from './engine.js';
import { EngineCore } from './engine-core.js';

const maxPositions = 160;
const conditionRows = 4;
const maxDrawings = 3;
const tileTokens = 5;

interface Terms {
  readonly pictures?: boolean;
  readonly priorities?: boolean;
  /** Positions that all slots may take together. */
  readonly room: number;
  /** How often there is no memory. */
  readonly noMemory?: number;
  /** Few slots, so that sequences decode alone, and texts that repeat themselves. */
  readonly repetitive?: boolean;
  /** How often the cache is lost. */
  readonly lost?: number;
  /** How many steps may be under way. */
  readonly stepsAtOnce?: number;
}

/** What the model writes after a prompt whose visual tokens are in place, and the conditions of its drawings. */
function expected(
  values: readonly number[],
  most: number,
  states?: number,
): { tokens: number[]; conditions: number[][] } {
  const hashes: number[] = [];
  const push = (value: number): void => void hashes.push(hashOf(hashes.at(-1) ?? 1, value, states));
  for (const value of values) push(value);
  const tokens: number[] = [];
  const conditions: number[][] = [];
  while (tokens.length < most) {
    const token = tokenAfter(hashes.at(-1) as number);
    if (token === hashTokens.end) break;
    tokens.push(token);
    push(token);
    if (token === hashTokens.draw && conditions.length < maxDrawings) conditions.push(hashes.slice(-conditionRows));
  }
  return { tokens, conditions };
}

/** Many requests at random against one engine; what of their answers is wrong. */
async function run(seed: number, terms: Terms) {
  const { pictures = false, priorities = false, room, noMemory = 0, lost = 0, repetitive } = terms;
  const random = seededRandom(seed);
  const pick = (count: number): number => Math.floor(random() * count);
  const slots = 1 + pick(repetitive === true ? 2 : 5);
  const states = repetitive === true ? 100 + pick(200) : undefined;
  const maxBytes = Math.max(room, maxPositions) * 16;
  const executor = new HashExecutor({
    slots,
    maxPositions,
    maxBytes,
    hasMemory: () => random() >= noMemory,
    losesCache: () => (lost > 0 && random() < lost ? pick(10) : undefined),
    states,
    stepsAtOnce: terms.stepsAtOnce,
  });
  const core = new EngineCore(
    hashEngine(executor, {
      maxPositions,
      kvBytes: maxBytes,
      conditionRows,
      maxDrawings,
      speculation: pick(4) === 0 && repetitive !== true ? undefined : { tokens: 1 + pick(12), ngram: 1 + pick(3) },
      limits: {
        maxRunning: slots,
        maxWaiting: 1000,
        maxWaitingForTiles: 1000,
        maxTakeovers: 1000,
        maxStepTokens: 32 + slots,
        maxChunkTokens: 16,
        tileTimeoutMs: 50,
      },
    }),
  );
  let death: unknown;
  core.done.catch((reason) => {
    death = reason;
  });
  const stems = Array.from({ length: 4 }, () => Array.from({ length: 60 }, () => pick(hashTokens.draw)));
  const wrong: string[] = [];
  const counts = { done: 0, cancelled: 0, refused: 0, cached: 0 };

  async function ask(number: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, pick(200)));
    const requestId = `r${number}`;
    // Few beginnings, so that many are alike.
    const own = Array.from({ length: 1 + pick(30) }, () => pick(hashTokens.draw));
    const tokenIds = [...(stems[pick(4)] as number[]).slice(0, 10 + pick(50)), ...own];
    const items = pictures && pick(3) > 0 ? Array.from({ length: 1 + pick(2) }, () => pick(3)) : [];
    const spans: TokenSpan[] = [];
    const values = [...tokenIds];
    const visual = (item: number, tile: number): number[] =>
      Array.from({ length: tileTokens }, (_, n) => 1000 + 100 * (items[item] as number) + 10 * tile + n);
    let start = pick(3);
    for (const [item] of items.entries()) {
      for (const tile of [0, 1]) {
        if (start + tileTokens >= tokenIds.length) break;
        spans.push({ item, tile, start, length: tileTokens });
        for (const [n, value] of visual(item, tile).entries()) values[start + n] = value;
        start += tileTokens + pick(3);
      }
    }
    const digests = items.map((item) => (pick(10) === 0 ? new Uint8Array() : Uint8Array.of(item)));
    const maxTokens = 1 + pick(50);
    const { tokens, conditions } = expected(values, Math.min(maxTokens, maxPositions - tokenIds.length), states);
    const forced = pick(5) === 0 ? tokens.slice(0, pick(tokens.length + 1)) : [];
    const begun = forced.filter((token) => token === hashTokens.draw).length;
    const queuedDrawings = pick(Math.min(maxDrawings, begun) + 1);
    const prompt: Prompt = { tokenIds, spans, byModality: [] as ModalityTokens[] };
    const request = hashRequest(requestId, tokenIds, {
      prompt,
      contentKeys: contentKeys(prompt, digests),
      priority: priorities ? pick(3) - 1 : 0,
      client: `c${pick(3)}`,
      cacheScope: `s${pick(2)}`,
      tilesOnDemand: pick(2) === 0,
      maxTokens,
      forcedTokenIds: forced,
      queuedDrawings,
      isTakeover: forced.length > 0,
    });
    const give = (item: number, tile: number): void => {
      const data = Float32Array.from(visual(item, tile));
      const tokens = { dtype: 'float32' as const, shape: [tileTokens, 1], data };
      setTimeout(() => core.provideTile({ requestId, item, tile, tokens, timings: [] }), pick(20));
    };
    const written = [...forced];
    const made = new Map<number, number[]>();
    const take = (event: EngineEvent): void => {
      if (event.type === 'tokens') written.push(...event.tokenIds);
      if (event.type === 'tileNeeded') give(event.item, event.tile);
      if (event.type === 'drawing') made.set(event.drawing, [...event.condition.data]);
      if (event.type === 'finished') counts.cached += event.cachedTokens;
    };
    await new Promise<void>((resolve) => {
      const fail = (error: unknown): void => {
        const { code, message } = error as TesseraError;
        if (code === 'CANCELLED') counts.cancelled++;
        else if (code === 'QUEUE_FULL') counts.refused++;
        else if (lost > 0 && message.includes('lost 3 times in a row')) counts.refused++;
        else wrong.push(`${requestId}: ${code} ${message}`);
        resolve();
      };
      const end = (): void => {
        counts.done++;
        if (written.join() !== tokens.join()) wrong.push(`${requestId}: [${written}] where [${tokens}] is right`);
        for (const [drawing, condition] of conditions.entries()) {
          const isRight = drawing < queuedDrawings || made.get(drawing)?.join() === condition.join();
          if (!isRight) wrong.push(`${requestId}: drawing ${drawing} of [${made.get(drawing)}], not [${condition}]`);
        }
        resolve();
      };
      core.submit(request, { put: take, fail, end });
      // Some are lost on the way.
      if (!request.tilesOnDemand) for (const { item, tile } of spans) if (pick(20) > 0) give(item, tile);
      if (pick(5) === 0) setTimeout(() => core.cancel(requestId), pick(60));
    });
  }

  await Promise.all(Array.from({ length: 100 }, (_, number) => ask(number)));
  const { preemptions, cacheLosses, acceptedTokens, running, waiting, heldTiles } = core.stats();
  await core.close();
  const left = [running, waiting, heldTiles];
  const { besides } = executor;
  return {
    wrong,
    death,
    problems: [...executor.problems],
    counts,
    preemptions,
    cacheLosses,
    acceptedTokens,
    besides,
    left,
  };
}

test.each<[what: string, terms: Terms]>([
  ['text', { room: 100_000 }],
  ['text that repeats itself', { room: 100_000, pictures: true, repetitive: true }],
  ['text that repeats itself, with priorities and little room', { room: 300, priorities: true, repetitive: true }],
  ['pictures, with room for all', { room: 100_000, pictures: true }],
  ['pictures, with little room', { room: 220, pictures: true }],
  ['priorities, with little room', { room: 300, priorities: true, pictures: true }],
  ['priorities, and no memory now and then', { room: 700, priorities: true, noMemory: 0.1 }],
  ['pictures, and a cache that is lost now and then', { room: 400, pictures: true, lost: 0.03 }],
  ['steps side by side', { room: 100_000, pictures: true, stepsAtOnce: 2 }],
  ['steps side by side, with little room', { room: 220, pictures: true, stepsAtOnce: 3 }],
  ['steps side by side, and priorities', { room: 300, priorities: true, pictures: true, stepsAtOnce: 2 }],
  ['steps side by side, and no memory now and then', { room: 700, noMemory: 0.1, stepsAtOnce: 2 }],
  [
    'steps side by side, and a cache that is lost now and then',
    { room: 400, pictures: true, lost: 0.03, stepsAtOnce: 3 },
  ],
])(
  '%s: whatever comes, goes, is guessed, taken over, preempted or kept, every token and every condition is right',
  async (_, terms) => {
    let cached = 0;
    let preemptions = 0;
    let acceptedTokens = 0;
    let cacheLosses = 0;
    let besides = 0;
    for (const seed of [1, 2, 3]) {
      const result = await run(7919 * seed, terms);
      expect(result, `seed ${seed}`).toMatchObject({ wrong: [], death: undefined, problems: [], left: [0, 0, 0] });
      // Without memory some are refused.
      expect(result.counts.done).toBeGreaterThan(terms.noMemory === undefined ? 40 : 5);
      cached += result.counts.cached;
      preemptions += result.preemptions;
      acceptedTokens += result.acceptedTokens;
      cacheLosses += result.cacheLosses;
      besides += result.besides;
    }
    // With little room it hangs on who comes when.
    if (terms.room >= 100_000) expect(cached).toBeGreaterThan(500);
    expect(besides > 0).toBe(terms.stepsAtOnce !== undefined);
    expect(cacheLosses > 0).toBe(terms.lost !== undefined);
    if (terms.priorities === true) expect(preemptions).toBeGreaterThan(0);
    if (terms.repetitive === true) expect(acceptedTokens).toBeGreaterThan(100);
  },
);
