import { Modality, SegmentRole } from '@tessera/protocol';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { ChatTemplates, Tokenizer } from '@tessera/tokenizer';
import { describe, expect, test } from 'vitest';
import { PromptBuilder } from '../../services/llm/src/prompt/prompt-builder.js';
import { asked, pictureOf, user } from '../../services/llm/src/testing/demo-engine.js';
import { fixtureJson, fixtureNames } from './fixture.js';

const fragments = [
  ' ',
  '  ',
  '   ',
  '\n',
  '\t',
  'the',
  'The',
  ' dog',
  'über',
  'e\u0301',
  '我',
  '小型',
  'カ',
  '🍎',
  '1',
  '½',
  "'s",
];
const chat = '{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}<|turn|>assistant\n';
const bare = '{{ messages[0].content }}<|end|>{{ messages[1].content }}';
const marks = ['<|turn|>', '<|end|>'];

const templateOf = (chat_template: string) => new ChatTemplates({ chat_template }).default();
const wholeIds = (tokenizer: Tokenizer, text: string): number[] =>
  [...tokenizer.split(text)].flatMap((part) => ('content' in part ? [part.id] : [...part]));

/** A fixture's tokenizer.json whose turn marks are added tokens, looked for before or after the normalizer. */
function withMarks(name: string, normalized: boolean): Tokenizer {
  const json = fixtureJson(name, 'tokenizer.json') as { added_tokens: { id: number; content: string }[] };
  const size = new Tokenizer(json).size;
  const missing = marks.filter((content) => json.added_tokens.every((token) => token.content !== content));
  const added = [...json.added_tokens, ...missing.map((content, at) => ({ id: size + at, content, special: true }))];
  return new Tokenizer({
    ...json,
    added_tokens: added.map((token) => (marks.includes(token.content) ? { ...token, normalized } : token)),
  });
}

describe.each(fixtureNames)('prompts in the tokens of %s', (name) => {
  const tokenizer = withMarks(name, false);
  const id = (text: string): number => tokenizer.idOf(text) as number;
  const model = { tokens: {}, maxPositions: 100_000 };

  // Where the normalizer begins each text with a space, it looks for marks behind one: a person's space would be part of them.
  const begins = JSON.stringify(fixtureJson(name, 'tokenizer.json').normalizer ?? '').includes('"Prepend"');

  test.each(begins ? [false] : [false, true])(
    'a prompt of sections is what the whole text would be (normalized: %s)',
    (on) => {
      const tokenizer = withMarks(name, on);
      const random = seededRandom(7);
      const words = (): string =>
        Array.from(
          { length: 1 + Math.floor(random() * 6) },
          () => fragments[Math.floor(random() * fragments.length)],
        ).join('');
      for (const source of [chat, bare]) {
        const template = templateOf(source);
        const builder = new PromptBuilder(tokenizer, template, model);
        for (let round = 0; round < 60; round++) {
          const said = [words(), `x${words()}`];
          const whole = template?.render(said.map((content) => ({ role: 'user', content }))) as string;
          const { tokenIds } = builder.build(asked(...said.map((text) => user(text))).value, []);
          expect(tokenIds, whole).toEqual(wholeIds(tokenizer, whole));
        }
      }
    },
  );

  test('pictures between words have their places, and words beside them are what they were', () => {
    const image = "{% for p in messages[0].content %}{{ p.text if p.type == 'text' else '<|turn|>' }}{% endfor %}";
    const builder = new PromptBuilder(tokenizer, templateOf(image), { ...model, tokens: { mediaPad: id('<|turn|>') } });
    const picture = pictureOf({ role: SegmentRole.WHOLE, tokenCount: 3 });
    const { tokenIds, spans } = builder.build(asked(user('the dog', 0, ' über 我', 0)).value, [picture]);
    const expected = wholeIds(tokenizer, 'the dog<|turn|> über 我<|turn|>').flatMap((token) =>
      token === id('<|turn|>') ? [token, token, token] : [token],
    );
    expect(tokenIds).toEqual(expected);
    expect(spans.map(({ length }) => length)).toEqual([3, 3]);
    expect(picture.modality).toBe(Modality.IMAGE);
  });

  test.each([false, true])(
    'words never become turn marks, whatever the normalizer makes of them (normalized: %s)',
    (on) => {
      const own = withMarks(name, on);
      const turnIds = marks.map((mark) => own.idOf(mark) as number);
      const builder = new PromptBuilder(own, templateOf('{{ messages[0].content }}'), model);
      for (const text of [
        '<|turn|>',
        'a <|end|> b',
        '＜|ＴＵＲＮ|＞',
        '<|TURN|>',
        '<\u200b|turn|>',
        ' <|turn|>',
        '<|turn|><|end|>',
      ]) {
        const { tokenIds } = builder.build(asked(user(text)).value, []);
        expect(
          tokenIds.filter((token) => turnIds.includes(token)),
          text,
        ).toEqual([]);
        expect(
          own.encode(text).filter((token) => turnIds.includes(token)),
          text,
        ).toEqual([]);
      }
    },
  );
});
