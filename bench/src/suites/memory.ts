import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { goldenPrompts, type Prompt } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { Deployment, drawSteps, processNames } from '../subjects/deployment.js';
import { closedLoop } from './concurrency.js';
import type { Suite, SuiteContext } from './suite.js';

const clients = 8;
const bytesPerMegabyte = 1e6;

function cycle(prompts: readonly Prompt[], count: number): Prompt[] {
  return Array.from({ length: count }, (_, at) => prompts[at % prompts.length] as Prompt);
}

/** Whether serving makes the processes grow. */
export const memory: Suite = {
  name: 'memory',
  about: 'resident memory of each process after the start, a warm-up, and 500 more requests',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const warmUps = times(1500);
    const requests = times(500);
    const prompts = goldenPrompts();
    await using deployment = await Deployment.start(await demoBundle('float32'));
    const ask = (prompt: Prompt) => deployment.ask(prompt);
    const ready = deployment.memory();
    say(`memory: ${warmUps} requests to warm up`);
    await closedLoop(cycle(prompts, warmUps), clients, ask);
    const warm = deployment.memory();
    say(`memory: ${requests} requests`);
    await closedLoop(cycle(prompts, requests), clients, ask);
    const after = deployment.memory();
    const growth = (from: number, to: number): number => (to / from - 1) * 100;
    const rows: Cell[][] = [];
    for (const name of processNames) {
      const [first, before, last] = [ready.get(name), warm.get(name), after.get(name)];
      if (first === undefined || before === undefined || last === undefined) continue;
      rows.push([
        name,
        first.residentBytes / bytesPerMegabyte,
        before.residentBytes / bytesPerMegabyte,
        last.residentBytes / bytesPerMegabyte,
        growth(before.residentBytes, last.residentBytes),
        before.peakBytes / bytesPerMegabyte,
        last.peakBytes / bytesPerMegabyte,
        growth(before.peakBytes, last.peakBytes),
        name === 'nats-server' ? '' : 'at most 5',
      ]);
    }
    return [
      {
        title: 'Resident memory',
        notes: [
          `Each process when ready, after ${warmUps} requests that warm it up, and after ${requests} more; growth is from warm to the end. The`,
          `requests are the model's goldens in turn (pictures, words, drawings of ${drawSteps} steps), ${clients} at once. Resident memory goes up and`,
          'down with the garbage that V8 has not collected yet; the peak (VmHWM) is what a limit has to hold.',
        ],
        columns: [
          { title: 'process' },
          { title: 'ready, MB', digits: 1 },
          { title: 'warm, MB', digits: 1 },
          { title: `${requests} later, MB`, digits: 1 },
          { title: 'growth, %', digits: 1 },
          { title: 'peak warm, MB', digits: 1 },
          { title: `peak ${requests} later, MB`, digits: 1 },
          { title: 'growth of the peak, %', digits: 1 },
          { title: 'aim' },
        ],
        rows,
      },
    ];
  },
};
