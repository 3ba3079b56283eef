import { expect, test } from 'vitest';
import { hashEngine, hashRequest } from '../testing/hash-engine.js';
import { HashExecutor, hashOf, hashTokens, tokenAfter } from '../testing/hash-executor.js';
import { EngineCore } from './engine-core.js';

const maxPositions = 1000;
const maxTokens = 300;

/** What the model writes after a prompt, until it ends. */
function answerTo(prompt: readonly number[]): number[] {
  let hash = 1;
  for (const token of prompt) hash = hashOf(hash, token);
  const tokens: number[] = [];
  while (tokens.length < maxTokens && tokenAfter(hash) !== hashTokens.end) {
    tokens.push(tokenAfter(hash));
    hash = hashOf(hash, tokens.at(-1) as number);
  }
  return tokens;
}

/** A prompt of so many tokens whose answer is long. */
function promptOf(length: number): number[] {
  const many = hashTokens.draw ** 2;
  for (let number = 0; number < many; number++) {
    const prompt = [number % hashTokens.draw, Math.floor(number / hashTokens.draw), ...Array(length - 2).fill(1)];
    if (answerTo(prompt).length === maxTokens) return prompt;
  }
  throw new Error('no answer is so long');
}

test('while a step makes the cache longer for one sequence, none begins for another that needs no more of it', async () => {
  const executor = new HashExecutor({
    slots: 2,
    maxPositions,
    maxBytes: 100_000,
    hasMemory: () => true,
    losesCache: () => undefined,
    stepsAtOnce: 2,
  });
  const limits = { maxRunning: 2, maxWaiting: 10, maxStepTokens: 200, maxChunkTokens: 100 };
  const core = new EngineCore(
    hashEngine(executor, { maxPositions, kvBytes: 100_000, conditionRows: 1, maxDrawings: 0, limits }),
  );
  const answers = await Promise.all(
    [promptOf(90), promptOf(4)].map(async (prompt, at) => {
      const written: number[] = [];
      await new Promise<void>((end, fail) => {
        core.submit(hashRequest(`r${at}`, prompt, { maxTokens }), {
          put: (event) => event.type === 'tokens' && written.push(...event.tokenIds),
          fail,
          end,
        });
      });
      return [written, answerTo(prompt)];
    }),
  );
  await core.close();
  for (const [written, right] of answers) expect(written).toEqual(right);
  expect([...executor.problems]).toEqual([]);
  expect(executor.besides).toBeGreaterThan(0);
});
