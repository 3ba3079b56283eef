import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { hotAnswer, whoAreYou } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { bareRelayMs } from '../subjects/bare-relay.js';
import { Deployment, type ProcessName, processNames } from '../subjects/deployment.js';
import { closedLoop } from './concurrency.js';
import type { Suite, SuiteContext } from './suite.js';

const clients = 16;
/** Two lengths of answer tell what a request costs from what its tokens cost. */
const lengths = { short: 20, long: 800 };

/** What a number of answers took. */
interface Cost {
  readonly requests: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Processor time of each process, milliseconds. */
  readonly ms: ReadonlyMap<ProcessName | 'client', number>;
}

/**
 * What a request, and each token of its answer, costs the processes that it passes through: the cost of answers of two
 * lengths, solved for `requests * a + tokens * b`.
 */
export const tokenCost: Suite = {
  name: 'token-cost',
  about: `processor time of each process for a request and for a token, ${clients} answers at once`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    await using deployment = await Deployment.start(await demoBundle('float32'));
    const measure = async (maxTokens: number, requests: number): Promise<Cost> => {
      const prompts = Array.from({ length: requests }, (_, index) => hotAnswer(whoAreYou, index, maxTokens));
      const before = deployment.processorMs();
      const { answers, tokensPerSecond } = await closedLoop(prompts, clients, (prompt) => deployment.ask(prompt));
      const after = deployment.processorMs();
      const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0);
      const ms = new Map([...after].map(([name, value]) => [name, value - (before.get(name) ?? 0)]));
      return { requests, tokens, tokensPerSecond, ms };
    };
    say('token-cost: warming up');
    await measure(lengths.short, 20 * clients);
    await measure(lengths.long, clients);
    say(`token-cost: answers of ${lengths.short} tokens`);
    const short = await measure(lengths.short, times(50) * clients);
    say(`token-cost: answers of up to ${lengths.long} tokens`);
    const long = await measure(lengths.long, times(5) * clients);
    say('token-cost: a bare relay');
    const bareMs = await bareRelayMs(clients, times(1000));
    const mean = (cost: Cost): string => (cost.tokens / cost.requests).toFixed(0);
    return [
      {
        title: 'Processor time of a request and of a token',
        notes: [
          `${short.requests} answers of ${mean(short)} tokens to words and ${long.requests} of ${mean(long)} (means), ${clients} at once, ` +
            `${short.tokensPerSecond.toFixed(0)} and ${long.tokensPerSecond.toFixed(0)} tokens/s, solved for both costs.`,
          'All that a process did meanwhile counts: announcements, garbage. The client is the bench itself. A token of the',
          'llm costs more the longer its answer is. The bare relay reads a message from one HTTP/2 stream and writes it to',
          `another, for ${clients} streams, without gRPC: less than that no gateway in Node takes.`,
        ],
        columns: [{ title: 'process' }, { title: 'ms a request', digits: 2 }, { title: 'ms a token', digits: 3 }],
        rows: [
          ...[...processNames, 'client' as const].map((name): Cell[] => [name, ...solve(name, short, long)]),
          ['bare relay', undefined, bareMs],
        ],
      },
    ];
  },
};

/** @returns milliseconds a request, and milliseconds a token */
function solve(name: ProcessName | 'client', short: Cost, long: Cost): [number, number] {
  const [shortMs, longMs] = [short.ms.get(name) ?? 0, long.ms.get(name) ?? 0];
  const [shortTokens, longTokens] = [short.tokens / short.requests, long.tokens / long.requests];
  const perToken = (longMs / long.requests - shortMs / short.requests) / (longTokens - shortTokens);
  return [shortMs / short.requests - perToken * shortTokens, perToken];
}
