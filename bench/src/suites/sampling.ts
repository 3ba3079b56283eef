import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeHeadGraph } from '@tessera/compiler/testing/head-graph';
import { createSession, type Session } from '@tessera/inference';
import { greedySampling, Sampler, type SamplingOptions } from '@tessera/llm';
import { tensor } from '@tessera/protocol';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import type { Suite, SuiteContext } from './suite.js';

/** Qwen's; and the width of its smallest published model, whose steps are the shortest. */
export const vocabularySize = 151_936;
const width = 1024;
const batch = 8;
const weightKinds = ['float32', 'int8'] as const;

const usual = { temperature: 0.7, topP: 0.95, topK: 40 };

const kinds: readonly (readonly [string, Partial<SamplingOptions>])[] = [
  ['greedy', {}],
  ['temperature 0.7, top_k 40, top_p 0.95', usual],
  ['the same with three penalties', { ...usual, repetitionPenalty: 1.1, presencePenalty: 0.5, frequencyPenalty: 0.5 }],
  ['temperature 0.7, top_p 0.95', { temperature: 0.7, topP: 0.95 }],
  ['temperature 1, min_p 0.05', { temperature: 1, minP: 0.05 }],
  ['temperature 1, nothing left out', { temperature: 1 }],
  ['temperature 8, top_p 0.95', { temperature: 8, topP: 0.95 }],
  ['greedy, 20 log-probabilities', { topLogprobs: 20 }],
];

/** What a sampler has seen: so long a prompt, and so much of the answer, none of it twice. */
const promptTokens = 2000;
const answerTokens = 200;

/** Logits as language models give them: most in a bell about zero, a few likely tokens far above. */
export function languageRow(random: () => number): Float32Array {
  const row = Float32Array.from(
    { length: vocabularySize },
    () => (random() + random() + random() + random() - 2) * 1.73 * 2.5,
  );
  for (let n = 0; n < 100; n++) row[Math.floor(random() * vocabularySize)] = 18 - 0.12 * n + random();
  return row;
}

/** Milliseconds that a step's rows take, each with a sampler of its own. */
function sampleMs(rows: readonly Float32Array[], options: SamplingOptions, rounds: number): number {
  const samplers = rows.map((_, index) => {
    const sampler = new Sampler({ ...options, seed: BigInt(index) });
    sampler.see(Array.from({ length: promptTokens }, (_token, n) => (n * 37 + index) % vocabularySize));
    sampler.resume(Array.from({ length: answerTokens }, (_token, n) => (n * 53 + index) % vocabularySize));
    return sampler;
  });
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startedMs = performance.now();
    for (const [index, row] of rows.entries()) samplers[index]?.sample(row, answerTokens + round);
    times.push(performance.now() - startedMs);
  }
  return median(times);
}

async function headMs(session: Session, rounds: number): Promise<number> {
  const hidden = Float32Array.from({ length: batch * width }, (_, n) => Math.sin(n));
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startedMs = performance.now();
    await session.run({ hidden: tensor('float32', [batch, width], hidden) }, ['logits']);
    times.push(performance.now() - startedMs);
  }
  return median(times);
}

/** What choosing tokens costs against the least that a step computes. */
export const sampling: Suite = {
  name: 'sampling',
  about: `the next token of ${batch} sequences over ${vocabularySize} words, beside the last layer alone; in one thread`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const rounds = times(50);
    const folder = await mkdtemp(join(tmpdir(), 'tessera-head-'));
    try {
      const heads: number[] = [];
      for (const precision of weightKinds) {
        say(`sampling: the last layer, ${precision}`);
        const path = join(folder, `${precision}.onnx`);
        await writeHeadGraph(path, { width, vocabulary: vocabularySize, precision });
        const session = await createSession(path, { threads: 1, device: 'cpu' });
        await headMs(session, 3);
        heads.push(await headMs(session, times(15)));
        await session.release();
      }
      const random = seededRandom(1);
      const rows = Array.from({ length: batch }, () => languageRow(random));
      const measured: Cell[][] = [['the last layer', undefined, undefined, ...heads]];
      for (const [name, options] of kinds) {
        say(`sampling: ${name}`);
        sampleMs(rows, { ...greedySampling, ...options }, 10);
        const ms = sampleMs(rows, { ...greedySampling, ...options }, rounds);
        measured.push([name, ms / batch, ms, ...heads.map((head) => (100 * ms) / head)]);
      }
      return [
        {
          title: `The next token of ${batch} sequences over ${vocabularySize} words`,
          notes: [
            `Medians of ${rounds}, in one thread; prompts of ${promptTokens} tokens and ${answerTokens} of the answer. The last layer`,
            `has a width of ${width}; a step also computes all other layers. Its row has milliseconds, the others their share of it.`,
          ],
          columns: [
            { title: 'kind' },
            { title: 'ms a row', digits: 3 },
            { title: `ms of ${batch} rows`, digits: 2 },
            ...weightKinds.map((kind) => ({ title: `${kind}: layer ms, or %`, digits: 1 })),
          ],
          rows: measured,
        },
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
