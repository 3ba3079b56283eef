import { demoBundle } from '../demo-model.js';
import { longAnswer, longAnswerTokens, whoAreYou } from '../prompts.js';
import type { Section } from '../report.js';
import { Deployment, processNames } from '../subjects/deployment.js';
import { closedLoop } from './concurrency.js';
import type { Suite, SuiteContext } from './suite.js';

const clients = 16;

/** What a token of an answer costs each process that it passes through. */
export const tokenCost: Suite = {
  name: 'token-cost',
  about: `processor time of each process for a token, ${clients} answers at once`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const requests = times(10) * clients;
    await using deployment = await Deployment.start(await demoBundle('float32'));
    const prompts = Array.from({ length: requests }, (_, index) => longAnswer(whoAreYou, index));
    const ask = (prompt: (typeof prompts)[number]) => deployment.ask(prompt);
    say('token-cost: warming up');
    await closedLoop(prompts.slice(0, 3 * clients), clients, ask);
    say(`token-cost: ${requests} answers`);
    const before = deployment.processorMs();
    const { answers, tokensPerSecond } = await closedLoop(prompts, clients, ask);
    const after = deployment.processorMs();
    const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0);
    return [
      {
        title: 'Processor time of a token',
        notes: [
          `${requests} answers of ${longAnswerTokens} tokens to words, ${clients} at once, ${tokensPerSecond.toFixed(0)} tokens/s. All that a process did`,
          'meanwhile counts: the requests themselves, announcements, garbage. The client is the bench itself.',
        ],
        columns: [{ title: 'process' }, { title: 'ms a token', digits: 3 }],
        rows: [...processNames, 'client' as const].map((name) => [
          name,
          ((after.get(name) ?? 0) - (before.get(name) ?? 0)) / tokens,
        ]),
      },
    ];
  },
};
