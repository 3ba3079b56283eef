import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { ChatRequest, ChatServiceDefinition, TesseraError } from '@tessera/protocol';
import type { BurstCalls } from '../processes/burst-main.js';
import { Helper } from '../processes/helper.js';
import { longAnswer, whoAreYou } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { median, p99 } from '../statistics.js';
import { chatRequests, Deployment } from '../subjects/deployment.js';
import { closedLoop } from './concurrency.js';
import type { Suite, SuiteContext } from './suite.js';

const burst = 200;

/** How one call of a burst ended. */
interface Outcome {
  readonly refused: boolean;
  readonly afterMs: number;
  readonly retryMs: number;
}

/** How soon a burst that is too large hears that it is, and whether what it hears is true. */
export const refusals: Suite = {
  name: 'refusals',
  about: `how soon those of ${burst} requests at once are refused for which there is no room`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const rounds = times(5);
    await using deployment = await Deployment.start(await demoBundle('float32'));
    using helper = new Helper<BurstCalls>('burst');
    await helper.call('open', deployment.address);
    say('refusals: warming up');
    const prompts = Array.from({ length: 64 }, (_, index) => longAnswer(whoAreYou, index));
    await closedLoop(prompts, 16, (prompt) => deployment.ask(prompt));
    const ways: [client: string, send: () => Promise<Outcome[]>][] = [
      ['HTTP/2', () => sendPlainly(helper)],
      ['grpc-js', () => sendByClient(deployment)],
    ];
    const rows: Cell[][] = [];
    for (let round = 1; round <= 2; round++) for (const [, send] of ways) await send();
    for (let round = 1; round <= rounds; round++) {
      say(`refusals: burst ${round} of ${rounds}, by each client`);
      for (const [client, send] of ways) rows.push([client, round, ...row(await send())]);
    }
    rows.sort(([one], [other]) => (one === other ? 0 : one === 'HTTP/2' ? -1 : 1));
    return [
      {
        title: `Refusals in a burst of ${burst}`,
        notes: [
          `${burst} questions, each with an answer of 100 tokens, at once, after two such bursts by each client. HTTP/2: a process that`,
          "writes the calls as they are; its times count from their writing. grpc-js: its client, from the burst's beginning; it takes",
          'some 100 to 200 ms of processor time to begin so many calls, whoever answers them. The last two columns are to agree:',
          'what RetryInfo says the queue needs, and what it needed until the last answer was complete.',
        ],
        columns: [
          { title: 'client' },
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

function row(outcomes: readonly Outcome[]): Cell[] {
  const refused = outcomes.filter((outcome) => outcome.refused);
  const answered = outcomes.filter((outcome) => !outcome.refused);
  const refusedMs = refused.map(({ afterMs }) => afterMs);
  return [
    answered.length,
    refused.length,
    median(refusedMs),
    p99(refusedMs),
    'at most 50',
    median(refused.map(({ retryMs }) => retryMs)),
    Math.max(...answered.map(({ afterMs }) => afterMs)),
  ];
}

async function sendPlainly(helper: Helper<BurstCalls>): Promise<Outcome[]> {
  const messages: Uint8Array[] = [];
  for (let index = 0; index < burst; index++) {
    for await (const request of chatRequests(longAnswer(whoAreYou, index))) {
      messages.push(ChatRequest.encode(request).finish());
    }
  }
  const path = `/${ChatServiceDefinition.fullName}/${ChatServiceDefinition.methods.chat.name}`;
  const ends = await helper.call('burst', { path, messages });
  return ends.map(({ status, message, afterMs, retryAfterMs: retryMs = 0 }) => {
    const refused = status === 'RESOURCE_EXHAUSTED';
    if (!refused && status !== 'OK') throw new TesseraError('INTERNAL', `status ${status}: ${message}`);
    return { refused, afterMs, retryMs };
  });
}

async function sendByClient(deployment: Deployment): Promise<Outcome[]> {
  const startedAt = performance.now();
  return await Promise.all(
    Array.from({ length: burst }, async (_, index) => {
      try {
        await deployment.ask(longAnswer(whoAreYou, index));
        return { refused: false, afterMs: performance.now() - startedAt, retryMs: 0 };
      } catch (reason) {
        const { code, options } = TesseraError.from(reason);
        if (code !== 'QUEUE_FULL') throw reason;
        return { refused: true, afterMs: performance.now() - startedAt, retryMs: options.retryAfterMs ?? 0 };
      }
    }),
  );
}
