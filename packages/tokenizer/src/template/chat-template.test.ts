import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toyTokenizer } from '@tessera/testing/tokenizers/toy-tokenizer';
import { expect, test } from 'vitest';
import { Tokenizer } from '../tokenizer.js';
import type { TemplateMessage } from './chat-template.js';
import { ChatTemplates } from './chat-templates.js';
import { chooseTemplate } from './choose-template.js';

const said = (role: TemplateMessage['role'], content: string): TemplateMessage => ({ role, content });
const tokenizer = new Tokenizer(
  toyTokenizer([
    { id: 2, content: '<|im_start|>' },
    { id: 3, content: '<|im_end|>' },
    { id: 4, content: '</s>' },
  ]),
);
const plainTokenizer = new Tokenizer(toyTokenizer());
const of = (chat_template: unknown, rest: object = {}) => new ChatTemplates({ chat_template, ...rest });
const choose = (templates: ChatTemplates, wanted?: string, own = tokenizer) =>
  chooseTemplate(templates, own, wanted, 'prompt.chatTemplate');

/** As LLaMA 2's and Mistral's templates do: no system message, and turns that alternate. */
const strict = [
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}",
  "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}",
  "{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else m.content + '</s>' }}{% endfor %}",
].join('');

test.each([
  [[said('system', 'a'), said('user', 'b')], 'System role not supported'],
  [[said('user', 'a'), said('user', 'b')], 'roles must alternate'],
])('a template that refuses a conversation is quoted, with the field: %j', (messages, sentence) => {
  const template = of(strict, { bos_token: '<s>' }).default();
  expect(() => template?.render(messages)).toThrow(
    expect.objectContaining({
      code: 'REQUEST_INVALID',
      message: `the chat template refuses the conversation: ${sentence}`,
      options: expect.objectContaining({ field: 'conversation.messages' }),
    }),
  );
  expect(template?.render([said('user', 'a'), said('assistant', 'b'), said('user', 'c')])).toBe(
    '<s>[INST] a [/INST]b</s>[INST] c [/INST]',
  );
});

test('what a template cannot do with a conversation is said, and is no failure of the service', () => {
  const template = of('{{ messages[0].content.no.such() }}').default();
  expect(() => template?.render([said('user', 'a')])).toThrow(
    expect.objectContaining({ code: 'REQUEST_INVALID', message: expect.stringMatching(/cannot be rendered with/) }),
  );
});

test.each([
  [
    'many turns of loops',
    '{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(9) %}{% endfor %}{% endfor %}{% endfor %}',
    /takes more than 2000 ms/,
  ],
  ['a range without end', '{% for a in range(10000000000) %}{% endfor %}', /range has more than 100000 numbers/],
  ['a step of nothing', '{% for a in range(1, 5, 0) %}{% endfor %}', /range has a step of 0/],
])('%s ends', (_, source, message) => {
  expect(() =>
    of(source)
      .default()
      ?.render([said('user', 'a')]),
  ).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID', message: expect.stringMatching(message) }));
});

test('one that does not parse, or is too long, is refused as the file’s', () => {
  expect(() => of('{% if %}').default()).toThrow(
    expect.objectContaining({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(/tokenizer_config.json: .* parse/),
    }),
  );
  expect(() => of('x'.repeat(1024 * 1024 + 1)).default()).toThrow(/more than 1048576 characters/);
  expect(() => of([{ name: 'a' }])).toThrow(expect.objectContaining({ code: 'CHECKPOINT_INVALID' }));
});

test('ranges, None for tools, and today are as transformers has them', () => {
  const template = of(
    '{% for n in range(3) %}{{ n }}{% endfor %}{% for n in range(5, 1, -2) %}{{ n }}{% endfor %}{% if tools is not none %}tools{% endif %}{{ strftime_now("%Y") }}',
  ).default();
  expect(template?.render([said('user', 'a')])).toBe(`01253${new Date().getFullYear()}`);
});

test('of several the default counts, or the one that is named; without a default one must be', async () => {
  const named = [
    { name: 'tool_use', template: 'tools' },
    { name: 'default', template: 'usual' },
  ];
  const render = async (templates: ChatTemplates, wanted?: string) => (await choose(templates, wanted))?.render([]);
  expect(await render(of(named))).toBe('usual');
  expect(await render(of(named), 'tool_use')).toBe('tools');
  expect(await render(of(named.slice(0, 1)))).toBe('tools');
  const several = of([...named.slice(0, 1), { name: 'rag', template: 'r' }]);
  await expect(choose(several)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(
      /no default among the chat templates tool_use, rag: set prompt.chatTemplate to tool_use, rag, /,
    ),
  });
  await expect(choose(several, 'chat')).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/is chat, but the model has the chat templates tool_use, rag/),
  });
});

test('a base model says what to do; a built-in template, a file and none are taken', async () => {
  const base = of(undefined);
  await expect(choose(base)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(
      /no chat template, as base models have none: set prompt.chatTemplate to chatml or plain/,
    ),
  });
  expect(await choose(base, 'none')).toBeUndefined();
  const talk = [said('user', 'a'), said('assistant', 'b'), said('user', 'c')];
  expect((await choose(base, 'chatml'))?.render(talk)).toBe(
    '<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n',
  );
  await expect(choose(base, 'chatml', plainTokenizer)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/chatml writes <\|im_start\|>, which is no token of the model/),
  });
  expect((await choose(base, 'plain'))?.render(talk)).toBe('a\n\nb\n\nc');
  const single = [{ SpecialToken: { id: '</s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }];
  const begins = new Tokenizer({
    ...toyTokenizer([{ id: 2, content: '</s>' }]),
    post_processor: { type: 'Sequence', processors: [{ type: 'ByteLevel' }, { type: 'TemplateProcessing', single }] },
  });
  expect((await choose(base, 'plain', begins))?.render(talk)).toBe('</s>a\n\nb\n\nc');
  const folder = await mkdtemp(join(tmpdir(), 'tessera-template-'));
  try {
    const file = join(folder, 'own.jinja');
    await writeFile(file, '{{ eos_token }}{{ messages[0].content }}');
    const templates = of(undefined, { eos_token: { content: '</s>' } });
    expect((await choose(templates, file))?.render(talk)).toBe('</s>a');
    await expect(choose(templates, join(folder, 'other.jinja'))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/other.jinja cannot be read/),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('an answer ends with what the template writes behind one, if that is a token', async () => {
  expect((await choose(of(undefined), 'chatml'))?.endOfTurn(tokenizer)).toBe(3);
  expect(of(strict).default()?.endOfTurn(tokenizer)).toBe(4);
  expect(of('{% for m in messages %}{{ m.content }}\n{% endfor %}').default()?.endOfTurn(tokenizer)).toBeUndefined();
  expect(of("{{ raise_exception('never') }}").default()?.endOfTurn(tokenizer)).toBeUndefined();
});
