import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle } from '@tessera/bundle';
import { Llm, type LlmEngine } from '@tessera/llm';
import { GenerateRequest, type TextOptions } from '@tessera/protocol';
import { comparedWeights, compileRandomLlama } from '../random-llama/compile-random-llama.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { BoundGraph, cacheBuffers } from '../subjects/llm-graph.js';
import { benchLimits } from '../subjects/local-pipeline.js';
import { timed } from '../taken.js';
import type { Suite, SuiteContext } from './suite.js';

const past = 512;
const tokensOfStep = [1, 2, 3, 5, 9, 17];
const most = 8;
const answerTokens = 96;
/** Of the answers; those that people serve. */
const answerWeights: readonly Bundle['manifest']['weights'][] = ['int8', 'int4'];
const timeoutMs = 600_000;

/** What is asked for, as token ids and options. */
interface Question {
  readonly name: string;
  readonly tokenIds: readonly number[];
  readonly text: Partial<TextOptions>;
}

/** Words of the vocabulary that are a token each, none of which begins another. */
async function words(bundle: Bundle): Promise<[word: string, id: number][]> {
  const { model } = JSON.parse(await readFile(bundle.file('tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number> };
  };
  // Ġ is a blank, as byte-level tokenizers write it.
  const all = Object.entries(model.vocab).filter(([token]) => /^Ġ[a-z]{3,}$/.test(token));
  return all
    .filter(([token]) => all.every(([other]) => other === token || !other.startsWith(token)))
    .map(([token, id]) => [token.replace('Ġ', ' '), id]);
}

/** A model of random weights says nothing sensible, but forms and biases make it say what others would. */
async function questions(bundle: Bundle): Promise<Question[]> {
  const vocabulary = await words(bundle);
  const text = (from: number, to: number): string[] => vocabulary.slice(from, to).map(([word]) => word);
  const ids = vocabulary.slice(0, answerTokens).map(([, id]) => id);
  // Words rather than their letters.
  const logitBias = Object.fromEntries(ids.map((id) => [id, 100]));
  const value = `(${text(5, 13).join('|')})`;
  const written = (regex: string): Partial<TextOptions> => ({
    responseFormat: { format: { $case: 'regex', value: regex } },
    logitBias,
  });
  return [
    {
      name: 'its prompt, word for word',
      tokenIds: ids,
      text: { temperature: 0, ...written(text(0, answerTokens).join('')) },
    },
    {
      name: 'records: of 7 words 5 repeat',
      tokenIds: ids.slice(20, 60),
      text: { temperature: 1, seed: 1n, ...written(`(${text(0, 5).join('')}${value}${value}){${answerTokens}}`) },
    },
    { name: 'nothing twice', tokenIds: ids.slice(20, 60), text: { temperature: 8, seed: 1n } },
  ];
}

/** What an answer took. */
interface Answer {
  readonly tokenIds: readonly number[];
  readonly steps: number;
  readonly proposed: number;
  readonly accepted: number;
  readonly processorMs: number;
}

let nextId = 0;

async function ask(llm: Llm<LlmEngine>, { tokenIds, text }: Question): Promise<Answer> {
  const request = GenerateRequest.fromPartial({
    requestId: `speculation-${nextId++}`,
    attempt: 1,
    prompt: { $case: 'tokens', value: { tokenIds: [...tokenIds], segments: [] } },
    text: { maxTokens: answerTokens, ...text },
  });
  const before = llm.engine.stats();
  const written: number[] = [];
  const { processorMs } = await timed(async () => {
    for await (const event of llm.generate(request, Date.now() + timeoutMs)) {
      if (event.type === 'tokens') written.push(...event.tokenIds);
    }
  });
  const after = llm.engine.stats();
  return {
    tokenIds: written,
    steps: after.steps - before.steps,
    proposed: after.proposedTokens - before.proposedTokens,
    accepted: after.acceptedTokens - before.acceptedTokens,
    processorMs,
  };
}

/** What a step costs by its tokens: that of one sequence, with logits after each of them. */
async function stepCosts(bundles: readonly Bundle[], rounds: number): Promise<Cell[][]> {
  const rows: Cell[][] = [];
  for (const bundle of bundles) {
    const buffers = cacheBuffers(bundle.manifest.llm, 1, past + 32);
    for (const buffer of buffers) buffer.fill(0.05);
    const graph = await BoundGraph.create(bundle, { backend: 'native' }, past + 32, buffers);
    const calls = tokensOfStep.map((seq) => graph.bind({ batch: 1, seq, past, logits: seq }).binding);
    const samples: number[][] = calls.map(() => []);
    for (const call of calls) await call.run();
    for (let round = 0; round < rounds; round++) {
      for (const [at, call] of calls.entries()) samples[at]?.push((await timed(() => call.run())).processorMs);
    }
    for (const call of calls) await call.release();
    await graph.release();
    const [one = Number.NaN, ...more] = samples.map(median);
    rows.push([bundle.manifest.weights, one, ...more.map((ms) => ms / one)]);
  }
  return rows;
}

async function answers(bundle: Bundle, rounds: number, say: (text: string) => void): Promise<Cell[][]> {
  const open = (speculativeTokens: number): Promise<Llm<LlmEngine>> =>
    Llm.inProcess({
      modelDir: bundle.dir,
      session: { threads: 1, device: 'cpu' },
      limits: { ...benchLimits, speculativeTokens },
    });
  const [plain, guessing] = [await open(0), await open(most)];
  try {
    const rows: Cell[][] = [];
    for (const question of await questions(bundle)) {
      say(`speculation: ${bundle.manifest.weights}, ${question.name}`);
      // The prompts are in the cache from then on.
      const [expected, answer] = [await ask(plain, question), await ask(guessing, question)];
      const same = expected.tokenIds.findIndex((id, at) => id !== answer.tokenIds[at]);
      const tokens = answer.tokenIds.length;
      const ms = { plain: [] as number[], guessing: [] as number[] };
      for (let round = 0; round < rounds; round++) {
        // By turns: who comes second finds other caches.
        const order = ['plain', 'guessing'] as const;
        for (const way of round % 2 === 0 ? order : order.toReversed()) {
          const { processorMs, tokenIds } = await ask(way === 'plain' ? plain : guessing, question);
          ms[way].push(processorMs / tokenIds.length);
        }
      }
      const [without, withGuesses] = [1000 / median(ms.plain), 1000 / median(ms.guessing)];
      const { steps, proposed, accepted } = answer;
      rows.push([
        question.name,
        bundle.manifest.weights,
        tokens,
        same < 0 ? 'yes' : `up to token ${same}`,
        steps / tokens,
        proposed === 0 ? undefined : (100 * accepted) / proposed,
        without,
        withGuesses,
        withGuesses / without,
      ]);
    }
    return rows;
  } finally {
    await plain.close();
    await guessing.close();
  }
}

/** What guessing tokens brings where answers repeat something, and costs where they do not. */
export const speculation: Suite = {
  name: 'speculation',
  about: `answers with up to ${most} guessed tokens a step and without, on a LLaMA of SmolLM2's shape; a step by its tokens`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-speculation-'));
    try {
      say('speculation: writing a checkpoint of 135 million random weights, and compiling it');
      const bundles = await compileRandomLlama(folder, comparedWeights);
      say(`speculation: steps of 1 to ${Math.max(...tokensOfStep)} tokens, ${times(30)} rounds`);
      const costs = await stepCosts(bundles, times(30));
      const rows: Cell[][] = [];
      const answering = bundles.filter(({ manifest }) => answerWeights.includes(manifest.weights));
      for (const bundle of answering) rows.push(...(await answers(bundle, times(5), say)));
      return [
        {
          title: 'A step of one sequence by its tokens',
          notes: [
            `135 million random weights, one thread, over ${past} tokens, logits after each token; processor time, medians of ${times(30)}`,
            'alternating rounds. The graph alone. Each column says how many times a step of one token it costs: guesses are worth it',
            'where more tokens than that come of a step.',
          ],
          columns: [
            { title: 'weights' },
            { title: '1 token, ms', digits: 1 },
            ...tokensOfStep.slice(1).map((tokens) => ({ title: `${tokens} tokens`, digits: 2 })),
          ],
          rows: costs,
        },
        {
          title: 'Answers with guessed tokens',
          notes: [
            `One at a time, up to ${answerTokens} tokens, engine.speculativeTokens ${most} against 0, engine.speculationNgram 2; ${times(5)} alternating rounds after one.`,
            'Tokens per second of processor time, all of an answer, its prompt in the cache. The weights are random: forms, biases and the',
            'temperature make the answers.',
          ],
          columns: [
            { title: 'answer' },
            { title: 'weights' },
            { title: 'tokens' },
            { title: 'same text' },
            { title: 'steps a token', digits: 2 },
            { title: 'guesses right, %' },
            { title: 'without', digits: 1 },
            { title: 'with', digits: 1 },
            { title: 'ratio', digits: 2 },
          ],
          rows,
        },
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
