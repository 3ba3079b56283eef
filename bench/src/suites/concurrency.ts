import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { describePicture, longAnswerTokens, type Prompt, whoAreYou } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { Deployment } from '../subjects/deployment.js';
import { LocalPipeline } from '../subjects/local-pipeline.js';
import type { TimedAnswer } from '../subjects/timed-answer.js';
import { longAnswers } from './long-answers.js';
import type { Suite, SuiteContext } from './suite.js';

const clients = 16;

interface Load {
  readonly tokensPerSecond: number;
  readonly answers: readonly TimedAnswer[];
}

/** Each client asks its next question as soon as it has an answer. */
export async function closedLoop(
  prompts: readonly Prompt[],
  atOnce: number,
  ask: (prompt: Prompt) => Promise<TimedAnswer>,
): Promise<Load> {
  const answers: TimedAnswer[] = [];
  const waiting = prompts.values();
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const prompt of waiting) answers.push(await ask(prompt));
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  return { tokensPerSecond: answers.reduce((sum, { tokens }) => sum + tokens, 0) / seconds, answers };
}

/** What it brings to ask many things at once. */
export const concurrency: Suite = {
  name: 'concurrency',
  about: `${clients} requests at once against one at a time, through all processes`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const bundle = await demoBundle('float32');
    const requests = 2 * clients;
    const rounds = times(3);
    let loads: [string, Prompt[]][];
    {
      await using local = await LocalPipeline.create(bundle);
      loads = [
        [`words, ${longAnswerTokens} tokens`, await longAnswers(local, whoAreYou, requests)],
        [`picture, ${longAnswerTokens} tokens`, await longAnswers(local, describePicture, requests)],
        ['picture, 18 tokens', Array.from({ length: requests }, () => describePicture)],
      ];
    }
    await using deployment = await Deployment.start(bundle);
    const ask = (prompt: Prompt): Promise<TimedAnswer> => deployment.ask(prompt);
    const table: Cell[][] = [];
    for (const [name, prompts] of loads) {
      say(`concurrency: ${name}, ${rounds} rounds`);
      await closedLoop(prompts, clients, ask);
      const one: Load[] = [];
      const many: Load[] = [];
      for (let round = 0; round < rounds; round++) {
        one.push(await closedLoop(prompts, 1, ask));
        many.push(await closedLoop(prompts, clients, ask));
      }
      const rate = (each: Load[]): number => median(each.map(({ tokensPerSecond }) => tokensPerSecond));
      const firstMs = (each: Load[]): number =>
        median(each.flatMap(({ answers }) => answers.map((answer) => answer.firstMs)));
      table.push([name, rate(one), rate(many), rate(many) / rate(one), 'at least 3', firstMs(one), firstMs(many)]);
    }
    return [
      {
        title: `${clients} requests at once against one at a time`,
        notes: [
          `The same ${requests} requests through all processes, float32, ${rounds} alternating rounds after one at ${clients} that warms up;`,
          `medians of the rounds. ${clients} clients, each of which asks again as soon as it has its answer.`,
        ],
        columns: [
          { title: 'request' },
          { title: 'one, tokens/s' },
          { title: `${clients}, tokens/s` },
          { title: 'ratio', digits: 2 },
          { title: 'aim' },
          { title: 'one, first token ms', digits: 1 },
          { title: `${clients}, first token ms`, digits: 1 },
        ],
        rows: table,
      },
    ];
  },
};
