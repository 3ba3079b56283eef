import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { describePicture, type Prompt } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { Deployment } from '../subjects/deployment.js';
import type { Suite, SuiteContext } from './suite.js';

/** So many tokens has a sentence, about. */
const sentences = 16;

/** A long first turn about the picture, other words in each conversation: nothing of it was ever computed. */
function firstTurn(conversation: number): Prompt {
  const text = Array.from(
    { length: sentences },
    (_, n) => `Note ${conversation * sentences + n}: look at the picture from the ${n % 2 === 0 ? 'left' : 'right'}.`,
  );
  return { ...describePicture, text: `${text.join(' ')} ${describePicture.text}` };
}

/** What it brings that an engine keeps what it computed of a conversation. */
export const prefixCache: Suite = {
  name: 'prefix-cache',
  about: 'time to the first token of the second turn of a long conversation with a picture, against the first',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const rounds = times(30);
    await using deployment = await Deployment.start(await demoBundle('float32'));
    const table: Cell[][] = [];
    for (const [name, reuses] of [
      ['kept', true],
      ['another conversation', false],
    ] as const) {
      say(`prefix-cache: ${name}, ${rounds} conversations`);
      const firsts: number[] = [];
      const seconds: number[] = [];
      let tokens = 0;
      let cached = 0;
      for (let round = -2; round < rounds; round++) {
        const conversation = 2 * (round + 2) + (reuses ? 0 : 10_000);
        const first = firstTurn(conversation);
        const answer = await deployment.ask(first);
        // The same length, but of a conversation that no engine has had.
        const goesOn = reuses ? first : firstTurn(conversation + 1);
        const second = await deployment.ask({ ...goesOn, later: [answer.text, 'And what stands on the right of it?'] });
        if (round < 0) continue;
        firsts.push(answer.firstMs);
        seconds.push(second.firstMs);
        tokens = second.marks.get('input tokens') ?? 0;
        cached = second.marks.get('cached tokens') ?? 0;
      }
      table.push([name, tokens, cached, median(firsts), median(seconds), median(seconds) / median(firsts)]);
    }
    return [
      {
        title: 'The second turn of a conversation',
        notes: [
          `${rounds} conversations with a picture, one after the other: a long first turn, its answer, and a short second question. Medians of`,
          'the time to the first token. The second row asks the same of a conversation that was never answered.',
        ],
        columns: [
          { title: 'second turn' },
          { title: 'tokens' },
          { title: 'of the cache' },
          { title: 'first turn, ms', digits: 1 },
          { title: 'second turn, ms', digits: 1 },
          { title: 'ratio', digits: 2 },
        ],
        rows: table,
      },
    ];
  },
};
