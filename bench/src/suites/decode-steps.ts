import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { describePicture, longAnswerTokens, type Prompt, whoAreYou } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { LocalPipeline } from '../subjects/local-pipeline.js';
import { writingRate } from '../subjects/timed-answer.js';
import { longAnswers } from './long-answers.js';
import type { Suite, SuiteContext } from './suite.js';

const batches = [1, 2, 4, 8, 16];
const weightKinds = ['float32', 'int8'] as const;
const bytesPerMegabyte = 1e6;

/** Milliseconds of one decode step: all sequences begin together, so they write in the same steps. */
async function stepMs(local: LocalPipeline, prompts: readonly Prompt[]): Promise<number> {
  const answers = await Promise.all(prompts.map((prompt) => local.ask(prompt)));
  return median(answers.map((answer) => 1000 / writingRate(answer)));
}

/** What a step costs by the size of its batch and the kind of its weights. */
export const decodeSteps: Suite = {
  name: 'decode',
  about: 'a decode step of 1 to 16 sequences, float32 and int8, in one process; bytes of the bundles',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const rounds = times(10);
    const bundles = await Promise.all(weightKinds.map((weights) => demoBundle(weights)));
    const pipelines = await Promise.all(bundles.map((bundle) => LocalPipeline.create(bundle)));
    try {
      // Other weights write other answers, so each has prompts of its own.
      const prompts: Prompt[][] = [];
      for (const local of pipelines) prompts.push(await longAnswers(local, whoAreYou, Math.max(...batches)));
      const steps: Cell[][] = [];
      let single: number[] = [];
      for (const batch of batches) {
        say(`decode: ${batch} at once, ${rounds} rounds`);
        const samples: number[][] = pipelines.map(() => []);
        for (let round = 0; round < rounds; round++) {
          for (const [at, local] of pipelines.entries()) {
            samples[at]?.push(await stepMs(local, prompts[at]?.slice(0, batch) ?? []));
          }
        }
        const medians = samples.map(median);
        if (batch === 1) single = medians;
        const cells = medians.flatMap((ms, at) => [ms, (1000 * batch) / ms, (batch * (single[at] ?? ms)) / ms]);
        steps.push([batch, ...cells]);
      }
      say('decode: time to first token of both kinds of weights');
      const firstMs: number[][] = pipelines.map(() => []);
      for (let round = 0; round < times(30); round++) {
        for (const [at, local] of pipelines.entries()) firstMs[at]?.push((await local.ask(describePicture)).firstMs);
      }
      const megabytes = bundles.map(({ manifest }) =>
        Object.values(manifest.files).reduce((sum, { bytes }) => sum + bytes / bytesPerMegabyte, 0),
      );
      const medianFirstMs = firstMs.map(median);
      const ratio = ([float32 = Number.NaN, int8 = Number.NaN]: readonly number[]): number => int8 / float32;
      const rates = single.map((ms) => 1000 / ms);
      return [
        {
          title: 'A decode step by its batch',
          notes: [
            `Sequences of ${longAnswerTokens} tokens that begin together, in one process and one thread, sampling included; ${rounds} alternating`,
            'rounds, medians. "Gain" is the tokens/s against a batch of one.',
          ],
          columns: [
            { title: 'batch' },
            ...weightKinds.flatMap((kind) => [
              { title: `${kind} step, ms`, digits: 2 },
              { title: 'tokens/s' },
              { title: 'gain', digits: 2 },
            ]),
          ],
          rows: steps,
        },
        {
          title: 'int8 against float32',
          notes: ['In one process, one request at a time; the same rounds as above. All files of a bundle count.'],
          columns: [
            { title: 'measured' },
            { title: 'float32', digits: 1 },
            { title: 'int8', digits: 1 },
            { title: 'ratio', digits: 2 },
          ],
          rows: [
            ['bundle, MB', ...megabytes, ratio(megabytes)],
            ['tokens/s while writing', ...rates, ratio(rates)],
            ['time to first token with a picture, ms', ...medianFirstMs, ratio(medianFirstMs)],
          ],
        },
      ];
    } finally {
      for (const local of pipelines) await local[Symbol.asyncDispose]();
    }
  },
};
