import { FinishReason } from '@tessera/protocol';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, onTestFinished, test } from 'vitest';
import { compileFormat } from '../constraint/compile-format.js';
import type { PlannedRow } from '../model/step-plan.js';
import { greedySampling } from '../sampling/sampling-options.js';
import type { SpeculationOptions } from '../speculation/speculator.js';
import { DemoEngine } from '../testing/demo-engine.js';
import { hashEngine, hashRequest } from '../testing/hash-engine.js';
import { HashExecutor, hashTokens } from '../testing/hash-executor.js';
import { withExecute } from '../testing/with-execute.js';
import type { EngineEvent, EngineRequest } from './engine.js';
import { EngineCore } from './engine-core.js';

const maxPositions = 300;

/** An engine over the model of hashes, with few states: its texts soon repeat themselves. Notes what it computes. */
function engine(
  speculation: SpeculationOptions | undefined,
  { states = 150, maxDrawings = 3, noted = (_: readonly PlannedRow[]): void => {} } = {},
): EngineCore {
  const inner = new HashExecutor({
    slots: 2,
    maxPositions,
    maxBytes: 100_000,
    hasMemory: () => true,
    losesCache: () => undefined,
    states,
  });
  const sizes = { maxPositions, kvBytes: 100_000, conditionRows: 4, maxDrawings };
  const executor = withExecute(inner, (plan) => {
    noted(plan.rows);
    return inner.execute(plan);
  });
  const made = new EngineCore(hashEngine(executor, { ...sizes, speculation, limits: { maxRunning: 2 } }));
  onTestFinished(() => made.close());
  return made;
}

const guessing = { tokens: 8, ngram: 2 };
let nextId = 0;
const request = (tokenIds: readonly number[], options: Partial<EngineRequest> = {}): EngineRequest =>
  hashRequest(`r${nextId++}`, tokenIds, { maxTokens: 120, ...options });

/** An answer as the engine gives it: whoever reads slowly gets tokens joined. */
interface Answer {
  readonly events: EngineEvent[];
  readonly tokenIds: number[];
  readonly text: string;
  readonly finished: Extract<EngineEvent, { type: 'finished' }> | undefined;
  readonly error: unknown;
}

async function answerTo(core: EngineCore, asked: EngineRequest, noted = (_: EngineEvent): void => {}): Promise<Answer> {
  const events: EngineEvent[] = [];
  const error = await new Promise<unknown>((resolve) => {
    const put = (event: EngineEvent): void => {
      events.push(event);
      noted(event);
    };
    core.submit(asked, { put, fail: resolve, end: () => resolve(undefined) });
  });
  const tokens = events.filter((event) => event.type === 'tokens');
  return {
    events,
    tokenIds: tokens.flatMap(({ tokenIds }) => tokenIds),
    text: tokens.map(({ text }) => text).join(''),
    finished: events.find((event) => event.type === 'finished'),
    error,
  };
}

const ask = (of: EngineCore, tokenIds: readonly number[], options: Partial<EngineRequest> = {}): Promise<Answer> =>
  answerTo(of, request(tokenIds, options));

/** All that a client sees of an answer, in its order; what differs from run to run left out. */
const seen = ({ events, error }: Answer): unknown => ({
  error,
  events: events.map((event) =>
    event.type === 'finished' || event.type === 'admitted'
      ? { ...event, timing: undefined, cachedTokens: undefined }
      : event,
  ),
});

test('a text that repeats itself takes few steps, each of its tokens has its event, and it is counted what was guessed', async () => {
  const [plain, fast] = [engine(undefined), engine(guessing)];
  const [expected, answer] = [await ask(plain, [1, 2, 3]), await ask(fast, [1, 2, 3])];
  expect(expected.tokenIds).toHaveLength(120);
  expect(seen(answer)).toEqual(seen(expected));
  const [before, after] = [plain.stats(), fast.stats()];
  expect(before).toMatchObject({ steps: 120, decodeTokens: 119, proposedTokens: 0, acceptedTokens: 0 });
  // The prompt's step, then each step of decoding gives a token of its own and those that were guessed.
  expect(after.decodeTokens).toBe(119);
  expect(after.steps).toBe(120 - after.acceptedTokens);
  expect(after.steps).toBeLessThan(60);
  expect(after.proposedTokens).toBeGreaterThanOrEqual(after.acceptedTokens);
});

test('whatever a request asks for, it gets what it gets without guesses: tokens, text, likelihoods, drawings, its end', async () => {
  const random = seededRandom(5);
  const pick = (count: number): number => Math.floor(random() * count);
  const oneOf = <T>(...values: T[]): T => values[pick(values.length)] as T;
  let accepted = 0;
  const reasons = new Map<FinishReason | undefined, number>();
  for (let round = 0; round < 12; round++) {
    const states = 60 + pick(200);
    const [plain, fast] = [
      engine(undefined, { states }),
      engine({ tokens: 1 + pick(16), ngram: oneOf(1, 2, 3) }, { states }),
    ];
    for (let number = 0; number < 25; number++) {
      const tokenIds = Array.from({ length: 1 + pick(40) }, () => pick(hashTokens.draw));
      const regex = oneOf('([A-M]{3}_){2,20}', '(ABC|DE)*F?', '[A-Z]{30,}', '(A[B-D]*;?){9}');
      const stops = Array.from({ length: pick(3) }, () =>
        Array.from({ length: 2 + pick(2) }, () => String.fromCharCode(65 + pick(hashTokens.draw))).join(''),
      );
      const form = pick(3) === 0 ? compileFormat({ format: { $case: 'regex', value: regex } }, '') : undefined;
      const options: Partial<EngineRequest> = {
        maxTokens: 1 + pick(150),
        stops,
        stopTokenIds: pick(3) === 0 ? [pick(hashTokens.draw)] : [],
        form,
        sampling: {
          temperature: oneOf(0, 0, 0.3, 1, 3),
          topK: oneOf(0, 0, 1, 5),
          topP: oneOf(1, 1, 0.9, 0.5),
          minP: oneOf(0, 0, 0.05),
          repetitionPenalty: oneOf(1, 1, 1, 1.05),
          presencePenalty: oneOf(0, 0, 0, 0.5),
          frequencyPenalty: oneOf(0, 0, 0, 0.1),
          logitBias: pick(3) === 0 ? [[pick(hashTokens.count), oneOf(-5, 5, 12)]] : [],
          // A form may be complete before that.
          minTokens: form === undefined ? oneOf(0, 0, 30) : 0,
          topLogprobs: oneOf(undefined, 0, 3),
          seed: BigInt(pick(1000)),
        },
      };
      const expected = await ask(plain, tokenIds, options);
      expect(seen(await ask(fast, tokenIds, options)), JSON.stringify({ round, number })).toEqual(seen(expected));
      reasons.set(expected.finished?.reason, (reasons.get(expected.finished?.reason) ?? 0) + 1);
      // Another engine takes over anywhere, and goes on with guesses.
      const forced = expected.tokenIds.slice(0, pick(expected.tokenIds.length + 1));
      const queuedDrawings = forced.filter((id) => id === hashTokens.draw).length;
      const rest = await ask(fast, tokenIds, { ...options, forcedTokenIds: forced, queuedDrawings, isTakeover: true });
      expect([...forced, ...rest.tokenIds]).toEqual(expected.tokenIds);
      expect(rest.finished).toMatchObject({
        reason: expected.finished?.reason,
        completionTokens: expected.finished?.completionTokens,
      });
    }
    accepted += fast.stats().acceptedTokens;
    expect(fast.stats().acceptedTokens).toBeLessThanOrEqual(fast.stats().proposedTokens);
  }
  expect(accepted).toBeGreaterThan(2000);
  for (const reason of [FinishReason.STOP, FinishReason.END, FinishReason.LENGTH]) {
    expect(reasons.get(reason)).toBeGreaterThan(20);
  }
});

test('an answer ends where a stop text does, among tokens that were guessed and came true', async () => {
  const plain = engine(undefined);
  const { text, tokenIds } = await ask(plain, [1, 2, 3]);
  // So long that it stands there only once the text has begun to repeat itself, at every place of a guess.
  for (let end = 80; end < 100; end++) {
    const fast = engine({ tokens: 16, ngram: 2 });
    const options = { stops: [text.slice(end - 60, end)] };
    const expected = await ask(plain, [1, 2, 3], options);
    const answer = await ask(fast, [1, 2, 3], options);
    expect(seen(answer)).toEqual(seen(expected));
    expect(answer.finished?.reason).toBe(FinishReason.STOP);
    expect(fast.stats().acceptedTokens).toBeGreaterThan(10);
    // Where the next one begins, what was guessed in vain is not there.
    const next = await ask(fast, [1, 2, 3, ...tokenIds.slice(0, 90)], { maxTokens: 20 });
    expect(next.tokenIds).toEqual(tokenIds.slice(90, 110));
    expect(next.finished?.cachedTokens).toBeGreaterThan(50);
  }
});

test('nothing is guessed beyond the last token, nor after it where only its drawing is still to come', async () => {
  const { tokenIds } = await ask(engine(undefined, { maxDrawings: 100 }), [1, 2, 3]);
  const draws = [...tokenIds.keys()].filter((at) => at > 60 && tokenIds[at] === hashTokens.draw);
  expect(draws.length).toBeGreaterThan(2);
  let computed = 0;
  const noted = (rows: readonly PlannedRow[]): void => {
    for (const { position, tokenIds: row } of rows) computed = position + row.length;
  };
  const drawing = (): EngineCore => engine({ tokens: 16, ngram: 2 }, { maxDrawings: 100, noted });
  for (const maxTokens of [70, 71, 72, 73, ...draws.map((at) => at + 1)]) {
    const fast = drawing();
    const answer = await ask(fast, [1, 2, 3], { maxTokens });
    expect(answer.tokenIds).toEqual(tokenIds.slice(0, maxTokens));
    expect(fast.stats().acceptedTokens).toBeGreaterThan(20);
    // The last token is computed for its drawing alone.
    expect(computed).toBe(3 + maxTokens - (draws.includes(maxTokens - 1) ? 0 : 1));
  }
  // Here it ends the answer by its text.
  for (const at of draws) {
    const options = { stops: [String.fromCharCode(65 + hashTokens.draw)] };
    const answer = await ask(drawing(), [1, 2, 3, ...tokenIds.slice(0, at)], options);
    expect(answer.finished).toMatchObject({ reason: FinishReason.STOP, completionTokens: 1 });
    expect(computed).toBe(3 + at + 1);
  }
});

test('a cancel ends an answer at once, also among tokens that came true together', async () => {
  for (let count = 60; count < 70; count++) {
    const fast = engine({ tokens: 16, ngram: 2 });
    const asked = request([1, 2, 3]);
    let written = 0;
    const { error, tokenIds } = await answerTo(fast, asked, ({ type }) => {
      if (type === 'tokens' && ++written === count) fast.cancel(asked.requestId);
    });
    expect(error).toMatchObject({ code: 'CANCELLED' });
    expect(tokenIds).toHaveLength(count);
    expect(fast.stats().acceptedTokens).toBeGreaterThan(10);
    expect(fast.stats()).toMatchObject({ running: 0, slotsInUse: 0 });
  }
});

test('two that decode at once guess nothing, and go on guessing when one is left', async () => {
  const plain = engine(undefined);
  const fast = engine(guessing);
  const lengths = [60, 120];
  const expected = await Promise.all(lengths.map((maxTokens) => ask(plain, [1, 2, 3], { maxTokens })));
  const answers = await Promise.all(lengths.map((maxTokens) => ask(fast, [1, 2, 3], { maxTokens })));
  expect(answers.map(seen)).toEqual(expected.map(seen));
  const { steps, decodeTokens, acceptedTokens } = fast.stats();
  expect(acceptedTokens).toBeGreaterThan(20);
  expect(steps).toBe(120 - acceptedTokens);
  expect(steps).toBeGreaterThanOrEqual(60);
  expect(decodeTokens).toBe(59 + 119);
});

test('a text that is never what was guessed has few guesses', async () => {
  const fast = engine({ tokens: 16, ngram: 1 }, { states: 65_521 });
  const logitBias = [[hashTokens.end, -10_000]] as const;
  const sampling = { ...greedySampling, temperature: 100, seed: 3n, logitBias };
  await ask(fast, [1, 2, 3], { maxTokens: 250, sampling });
  const { decodeTokens, proposedTokens, acceptedTokens } = fast.stats();
  expect(decodeTokens).toBe(249);
  expect(proposedTokens).toBeGreaterThan(10);
  expect(proposedTokens - acceptedTokens).toBeLessThan(60);
});

test.each(['native', 'node'] as const)(
  'computed by %s, all answers of the demo model and the conditions of its drawings',
  async (backend) => {
    const [plain, fast] = [
      await DemoEngine.create({ maxRunning: 1 }, 'float32', backend),
      await DemoEngine.create({ maxRunning: 1, speculativeTokens: 8, speculationNgram: 1 }, 'float32', backend),
    ];
    try {
      for (const golden of goldenCases) {
        const [expected, answer] = [await plain.start(golden), await fast.start(golden)];
        expect(answer.tokenIds, golden.id).toEqual(golden.output_ids);
        expect(answer.text).toBe(expected.text);
        expect(answer.drawings).toHaveLength(expected.drawings.length);
        for (const [at, { data }] of answer.drawings.entries()) {
          expect(relativeErrors(data, expected.drawings[at]?.data as Float32Array).max).toBeLessThan(1e-4);
        }
      }
      const { acceptedTokens, proposedTokens, steps } = fast.engine.stats();
      expect(acceptedTokens).toBeGreaterThan(0);
      expect(proposedTokens).toBeGreaterThan(acceptedTokens);
      expect(steps).toBe(plain.engine.stats().steps - acceptedTokens);
    } finally {
      await plain.close();
      await fast.close();
    }
  },
);
