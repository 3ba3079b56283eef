import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '@tessera/testing/repository';
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
  ['a time in no form', '{{ strftime_now(7) }}', /strftime_now has no form that it takes/],
  [
    'a time in a form without end',
    `{{ strftime_now('${'-'.repeat(1025)}') }}`,
    /strftime_now has no form that it takes/,
  ],
  ['a step of nothing', '{% for a in range(1, 5, 0) %}{% endfor %}', /range has a step of 0/],
])('%s ends', (_, source, message) => {
  expect(() =>
    of(source)
      .default()
      ?.render([said('user', 'a')]),
  ).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID', message: expect.stringMatching(message) }));
});

const doubled = (times: number, rest: string): string =>
  `{% set ns = namespace(s='a') %}${'{% set ns.s = ns.s + ns.s %}'.repeat(times)}${rest}`;
const nested = (times: number, rest: string): string =>
  `{% set ns = namespace(s=['a']) %}${'{% set ns.s = [ns.s, ns.s] %}'.repeat(times)}${rest}`;

const hostile: readonly (readonly [string, string])[] = [
  ['a text that is doubled', doubled(40, '')],
  ['a replacement in a long text', doubled(26, "{{ ns.s.replace('a', 'bbbbbbbb') }}")],
  ['a replacement by a long text', doubled(20, "{{ ns.s | replace('a', ns.s) }}")],
  ['a replacement of nothing', doubled(24, "{{ ns.s | replace('', 'b') }}")],
  [
    'capitals',
    doubled(24, '{% set x = (ns.s ~ " ").title() %}{{ x.replace("A", " a") | title | title | title | title }}'),
  ],
  ['a list of pieces', doubled(24, "{{ ns.s.split('a') | length }}")],
  ['words', doubled(20, "{{ ns.s.replace('a', 'a ').split() | length }}")],
  ['an indent', doubled(20, "{{ ns.s.replace('a', '\\n\\n') | indent(1000, true, true) }}")],
  ['a list that is joined', doubled(20, '{{ range(1000) | join(ns.s) }}')],
  ['letters that are joined', doubled(20, '{{ ns.s | join(ns.s) }}')],
  ['a list that is doubled', doubled(1, `{% set ns.s = [1] %}${'{% set ns.s = ns.s + ns.s %}'.repeat(40)}`)],
  ['a list that is written', nested(40, '{{ ns.s }}')],
  ['a list that is written as JSON', nested(40, '{{ ns.s | tojson }}')],
  ['a list beside a text', nested(40, "{{ ns.s ~ 'a' }}")],
  ['a list that is compared', nested(40, "{{ ns.s == 'a' }}")],
  ['a list that is joined of lists', nested(40, "{{ ns.s | join('a') }}")],
  ['a list that is counted to', nested(40, '{{ range(ns.s) }}')],
  ['a list that is a reason', nested(40, '{{ raise_exception(ns.s) }}')],
  ['JSON that is set far in', '{{ [[[1]]] | tojson(indent=100000000) }}'],
  ['letters of JSON', doubled(24, "{{ ns.s.replace('a', 'é') | tojson(ensure_ascii=true) }}")],
  ['a time', doubled(25, "{{ strftime_now(ns.s.replace('a', '%%')) }}")],
  ['a slice', doubled(25, '{{ ns.s[1:] | length }}')],
  ['a block', doubled(26, '{% set x %}{{ ns.s }}{{ ns.s }}{{ ns.s }}{% endset %}{{ x | length }}')],
  [
    'lists that are kept',
    '{% set ns = namespace(s=[]) %}{% for a in range(1000) %}{% set ns.s = [ns.s, range(100000)] %}{% endfor %}',
  ],
  [
    'arguments that are kept',
    '{% macro f() %}{{ f(*varargs) }}{% endmacro %}{% set ns = namespace(s=range(100000)) %}{{ f(*ns.s) }}',
  ],
];

test('no template ends the process, whatever it makes', () => {
  // In a process of its own, as a failure would end the one that runs the tests.
  const module = pathToFileURL(join(root, 'packages/tokenizer/dist/index.js')).href;
  const code = `
    import { ChatTemplates } from ${JSON.stringify(module)};
    import { readFileSync } from 'node:fs';
    for (const chat_template of JSON.parse(readFileSync(0, 'utf8'))) {
      let told = 'it is rendered';
      try {
        new ChatTemplates({ chat_template }).default().render([{ role: 'user', content: 'a' }]);
      } catch (error) {
        told = error.code + ' ' + error.message;
      }
      console.log(told);
    }`;
  const options = ['--max-old-space-size=1024', '--input-type=module', '-e', code];
  const input = JSON.stringify(hostile.map(([, source]) => source));
  const { status, stdout } = spawnSync(process.execPath, options, { input, encoding: 'utf8' });
  const told = stdout.trimEnd().split('\n');
  // Refused before it is made, and not by what the process says when it has no room for it.
  const refused = /(with the conversation: (it makes more than|range has) |takes more than 2000 ms|refuses)/;
  for (const [at, [what]] of hostile.entries()) {
    expect(told[at], what).toMatch(new RegExp(`^REQUEST_INVALID the chat template .*${refused.source}`));
  }
  expect(status).toBe(0);
});

test('what templates do with texts and lists they do', () => {
  const render = (source: string): string | undefined =>
    of(source)
      .default()
      ?.render([said('user', 'a b a')]);
  const content = 'messages[0].content';
  expect(render(`{{ ${content}.replace('a', 'c') }}{{ ${content} | replace('a', 'd', count=1) }}`)).toBe('c b cd b a');
  expect(render(`{{ ${content}.split(' ')[-1] }}{{ ${content}.split() | join('-') }}{{ ${content}[1:3] }}`)).toBe(
    'aa-b-a b',
  );
  expect(render(`{{ (${content} ~ '\nx') | indent(2) }}{{ ${content} | title }}`)).toBe('a b a\n  xA B A');
  expect(render("{{ ([1] + [2]) | tojson }}{{ {'a': [1]} | tojson(indent=1) }}{{ [1, 2] ~ '' }}")).toBe(
    '[1, 2]{\n "a": [\n  1\n ]\n}1,2',
  );
  expect(render("{% for a in [1, 2, 3] if a != 2 %}{{ a }}{% else %}x{% endfor %}{{ [1] == 'b' }}")).toBe('13false');
  expect(render("{% macro f(a, b='y') %}{{ a }}{{ b }}{% endmacro %}{{ f('x') }}{{ f('x', b='z') }}")).toBe('xyxz');
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

test('names of the template language’s own are not free', () => {
  const template = of('x').default();
  expect(['range', 'true', 'strftime_now'].map((name) => template?.isFreeName(name))).toEqual([false, false, false]);
  expect(template?.isFreeName('enable_thinking')).toBe(true);
});

test('an answer ends with what the template writes behind one, if that is a token', async () => {
  expect((await choose(of(undefined), 'chatml'))?.endOfTurn(tokenizer)).toBe(3);
  expect(of(strict).default()?.endOfTurn(tokenizer)).toBe(4);
  expect(of('{% for m in messages %}{{ m.content }}\n{% endfor %}').default()?.endOfTurn(tokenizer)).toBeUndefined();
  expect(of("{{ raise_exception('never') }}").default()?.endOfTurn(tokenizer)).toBeUndefined();
});
