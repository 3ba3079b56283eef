import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { TesseraError } from '@tessera/protocol';
import { describePicture, longAnswerTokens, type Prompt, whoAreYou } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { summarise } from '../statistics.js';
import { Deployment } from '../subjects/deployment.js';
import { LocalPipeline } from '../subjects/local-pipeline.js';
import { type TimedAnswer, writingRate } from '../subjects/timed-answer.js';
import { longAnswers } from './long-answers.js';
import type { Suite, SuiteContext } from './suite.js';
import { stepsSection } from './time-to-first-token.js';

interface Pair {
  readonly local: TimedAnswer[];
  readonly distributed: TimedAnswer[];
}

/** Both ways in turn, so that whatever else the machine does befalls both. */
async function alternate(prompt: Prompt, local: LocalPipeline, deployment: Deployment, count: number): Promise<Pair> {
  const pair: Pair = { local: [], distributed: [] };
  for (let n = 0; n < count; n++) {
    const first = await local.ask(prompt);
    const second = await deployment.ask(prompt);
    if (first.text !== second.text) {
      throw new TesseraError('INTERNAL', `the two ways answer differently: "${first.text}" and "${second.text}"`);
    }
    pair.local.push(first);
    pair.distributed.push(second);
  }
  return pair;
}

function rows(name: string, { local, distributed }: Pair): Cell[][] {
  const compare = (what: string, of: (answer: TimedAnswer) => number, aim: string): Cell[] => {
    const one = summarise(local.map(of));
    const other = summarise(distributed.map(of));
    return [name, what, one.median, one.p90, other.median, other.p90, other.median / one.median, aim];
  };
  return [
    compare('time to first token, ms', ({ firstMs }) => firstMs, 'at most 1.25'),
    compare('tokens/s while writing', writingRate, 'at least 0.9'),
    compare('tokens/s of the whole request', ({ tokens, endMs }) => tokens / (endMs / 1000), ''),
  ];
}

/** What it costs one request that the stages are processes. */
export const overhead: Suite = {
  name: 'overhead',
  about: 'one request through all processes against the same engine classes in one process',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const bundle = await demoBundle('float32');
    await using local = await LocalPipeline.create(bundle);
    await using deployment = await Deployment.start(bundle);
    const prompts: [string, Prompt][] = [
      ['picture, 18 tokens', describePicture],
      ['words, 26 tokens', whoAreYou],
    ];
    for (const prompt of await longAnswers(local, describePicture, 1)) {
      prompts.push([`picture, ${longAnswerTokens} tokens`, prompt]);
    }
    const table: Cell[][] = [];
    const sections: Section[] = [];
    const warmUps = times(60);
    const count = times(60);
    say(`overhead: ${warmUps} warm-up pairs`);
    await alternate(describePicture, local, deployment, warmUps);
    for (const [name, prompt] of prompts) {
      say(`overhead: ${name}, ${count} pairs`);
      const pair = await alternate(prompt, local, deployment, count);
      table.push(...rows(name, pair));
      if (prompt === describePicture) sections.push(stepsSection(pair.local, pair.distributed));
    }
    return [
      {
        title: 'Overhead of being distributed',
        notes: [
          `One request at a time, float32: the engine classes called in one thread against nats-server and five processes,`,
          `asked through the gateway's gRPC on an open connection. ${count} alternating pairs after ${warmUps} warm-ups; both ways`,
          'must give the same text. Greedy answers of the demo model, and one sampled at temperature 8 with a fixed seed.',
        ],
        columns: [
          { title: 'request' },
          { title: 'measured' },
          { title: 'one process', digits: 1 },
          { title: 'p90', digits: 1 },
          { title: 'distributed', digits: 1 },
          { title: 'p90', digits: 1 },
          { title: 'ratio', digits: 2 },
          { title: 'aim' },
        ],
        rows: table,
      },
      ...sections,
    ];
  },
};
