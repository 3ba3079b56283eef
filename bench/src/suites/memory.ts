import { demoBundle } from '../demo-model.js';
import { goldenPrompts, type Prompt } from '../prompts.js';
import type { Section } from '../report.js';
import { Deployment, type ProcessName, processNames } from '../subjects/deployment.js';
import { closedLoop } from './concurrency.js';
import type { Suite, SuiteContext } from './suite.js';

const clients = 4;
const bytesPerMegabyte = 1e6;

function cycle(prompts: readonly Prompt[], count: number): Prompt[] {
  return Array.from({ length: count }, (_, at) => prompts[at % prompts.length] as Prompt);
}

/** Whether serving makes the processes grow. */
export const memory: Suite = {
  name: 'memory',
  about: 'resident memory of each process after the start, a warm-up, and 500 requests',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const warmUps = times(500);
    const requests = times(500);
    const prompts = goldenPrompts();
    await using deployment = await Deployment.start(await demoBundle('float32'));
    const ask = (prompt: Prompt) => deployment.ask(prompt);
    const atStart = deployment.residentBytes();
    say(`memory: ${warmUps} requests to warm up`);
    await closedLoop(cycle(prompts, warmUps), clients, ask);
    const warm = deployment.residentBytes();
    say(`memory: ${requests} requests`);
    await closedLoop(cycle(prompts, requests), clients, ask);
    const after = deployment.residentBytes();
    const megabytes = (sizes: ReadonlyMap<ProcessName, number>, name: ProcessName): number =>
      (sizes.get(name) ?? Number.NaN) / bytesPerMegabyte;
    return [
      {
        title: 'Resident memory',
        notes: [
          `VmRSS of each process: ready, after ${warmUps} requests that warm it up, and after ${requests} more. The requests are the`,
          `model's goldens in turn (pictures, words, drawings of 4 steps), ${clients} at once. Growth is from warm to the end.`,
        ],
        columns: [
          { title: 'process' },
          { title: 'ready, MB', digits: 1 },
          { title: 'warm, MB', digits: 1 },
          { title: `after ${requests} more, MB`, digits: 1 },
          { title: 'growth, %', digits: 1 },
          { title: 'aim' },
        ],
        rows: processNames.map((name) => [
          name,
          megabytes(atStart, name),
          megabytes(warm, name),
          megabytes(after, name),
          (megabytes(after, name) / megabytes(warm, name) - 1) * 100,
          name === 'nats-server' ? '' : 'at most 5',
        ]),
      },
    ];
  },
};
