import { TesseraError } from '@tessera/protocol';
import { demoBundle } from '../demo-model.js';
import { longAnswer, whoAreYou } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { median, p99 } from '../statistics.js';
import { Deployment } from '../subjects/deployment.js';
import { closedLoop } from './concurrency.js';
import type { Suite, SuiteContext } from './suite.js';

const burst = 200;

/** How soon a burst that is too large hears that it is, and whether what it hears is true. */
export const refusals: Suite = {
  name: 'refusals',
  about: `how soon those of ${burst} requests at once are refused for which there is no room`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const rounds = times(5);
    await using deployment = await Deployment.start(await demoBundle('float32'));
    say('refusals: warming up');
    const prompts = Array.from({ length: 64 }, (_, index) => longAnswer(whoAreYou, index));
    await closedLoop(prompts, 16, (prompt) => deployment.ask(prompt));
    const rows: Cell[][] = [];
    for (let round = 1; round <= rounds; round++) {
      say(`refusals: burst ${round} of ${rounds}`);
      const refusedMs: number[] = [];
      const retryMs: number[] = [];
      const answeredMs: number[] = [];
      const startedAt = performance.now();
      await Promise.all(
        Array.from({ length: burst }, async (_, index) => {
          try {
            await deployment.ask(longAnswer(whoAreYou, index));
            answeredMs.push(performance.now() - startedAt);
          } catch (reason) {
            const { code, options } = TesseraError.from(reason);
            if (code !== 'QUEUE_FULL') throw reason;
            refusedMs.push(performance.now() - startedAt);
            retryMs.push(options.retryAfterMs ?? 0);
          }
        }),
      );
      rows.push([
        `${round}`,
        answeredMs.length,
        refusedMs.length,
        median(refusedMs),
        p99(refusedMs),
        'at most 50',
        median(retryMs),
        Math.max(...answeredMs),
      ]);
    }
    return [
      {
        title: `Refusals in a burst of ${burst}`,
        notes: [
          `${burst} questions, each with an answer of 100 tokens, at once from one client on the same machine; times count from the burst's`,
          'beginning, the sending of all requests included. The last two columns are to agree: what RetryInfo says the queue needs, and',
          'what it needed until the last answer was complete.',
        ],
        columns: [
          { title: 'burst' },
          { title: 'answered' },
          { title: 'refused' },
          { title: 'refused after, median ms', digits: 1 },
          { title: 'p99 ms', digits: 1 },
          { title: 'aim' },
          { title: 'RetryInfo, median ms' },
          { title: 'queue needed, ms' },
        ],
        rows,
      },
    ];
  },
};
