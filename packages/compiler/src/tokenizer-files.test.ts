import { appendFile, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { toyTokenizer } from '@tessera/testing/tokenizers/toy-tokenizer';
import { ChatTemplates, type Tokenizer } from '@tessera/tokenizer';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkTokenizer, readTokenizer, writeTokenizer } from './tokenizer-files.js';

const fixture = join(root, 'test/tokenizers/fixtures/llama-legacy');
let dir = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-tokenizer-'));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const put = (name: string, content: unknown): Promise<void> =>
  writeFile(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
const idsOf = (tokenizer: Tokenizer, text: string): number[] =>
  [...tokenizer.split(text)].flatMap((part) => ('content' in part ? [part.id] : [...part]));
const built = async (vocabSize = 1000): Promise<Tokenizer> => checkTokenizer(await readTokenizer(dir), vocabSize);

test('a tokenizer.model alone becomes a tokenizer.json in the bundle, with the tokens of tokenizer_config.json', async () => {
  for (const name of ['tokenizer.model', 'tokenizer_config.json']) await copyFile(join(fixture, name), join(dir, name));
  const { texts } = JSON.parse(await readFile(join(fixture, 'reference.json'), 'utf8')) as {
    texts: { text: string; ids: number[] }[];
  };
  await mkdir(join(dir, 'out'));
  await writeTokenizer(join(dir, 'out'), await readTokenizer(dir));
  dir = join(dir, 'out');
  const tokenizer = await built();
  for (const { text, ids } of texts) expect(idsOf(tokenizer, text), text).toEqual(ids);
  expect(tokenizer.prefix.map(({ content }) => content)).toEqual(['<s>']);
  dir = join(dir, '..');
});

test('tokens that older checkpoints have in files of their own are tokens, and special where they are named so', async () => {
  await copyFile(join(fixture, 'tokenizer.model'), join(dir, 'tokenizer.model'));
  const size = (await built()).size;
  await put('added_tokens.json', { '<|im_start|>': size, '<think>': size + 1, '\u2318': size + 2 });
  await put('special_tokens_map.json', { bos_token: '<s>', additional_special_tokens: ['<|im_start|>'] });
  await put('tokenizer_config.json', { add_bos_token: false, eos_token: { content: '</s>' } });
  const tokenizer = await built();
  const added = tokenizer.addedTokens.filter(({ id }) => id >= size);
  expect(added.map(({ content, special }) => [content, special])).toEqual([
    ['<|im_start|>', true],
    ['<think>', false],
    ['\u2318', false],
  ]);
  expect(tokenizer.prefix).toEqual([]);
  expect(new ChatTemplates((await readTokenizer(dir)).config).endText).toBe('</s>');
  await put('tokenizer_config.json', { add_eos_token: true, eos_token: '<eos>' });
  await expect(readTokenizer(dir)).rejects.toMatchObject({ message: expect.stringMatching(/has no token "<eos>"/) });
});

test('chat templates in files of their own go into the config: the default, and those by name', async () => {
  await put('tokenizer.json', toyTokenizer());
  await put('tokenizer_config.json', { chat_template: 'from the config' });
  const templates = async () => new ChatTemplates((await readTokenizer(dir)).config);
  expect((await templates()).default()?.render([])).toBe('from the config');
  await mkdir(join(dir, 'additional_chat_templates'));
  await put('additional_chat_templates/tool_use.jinja', 'with tools');
  await put('additional_chat_templates/notes.txt', 'no template');
  expect((await templates()).names).toEqual(['default', 'tool_use']);
  expect((await templates()).default()?.render([])).toBe('from the config');
  await put('chat_template.jinja', 'from the file');
  expect((await templates()).default()?.render([])).toBe('from the file');
  await put('chat_template.jinja', 'x'.repeat(1024 * 1024 + 1));
  await expect(readTokenizer(dir)).rejects.toMatchObject({
    message: expect.stringMatching(/chat_template.jinja: is larger/),
  });
});

test('as many chat templates are read as are taken, the default included', async () => {
  await put('tokenizer.json', toyTokenizer());
  await mkdir(join(dir, 'additional_chat_templates'));
  for (let at = 0; at < 64; at++) await put(`additional_chat_templates/t${at}.jinja`, 'x');
  const names = async () => new ChatTemplates((await readTokenizer(dir)).config).names;
  expect(await names()).toHaveLength(64);
  await put('chat_template.jinja', 'the default');
  await expect(names()).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(/templates: has 64 templates; at most 63 are taken beside the default$/),
  });
  await rm(join(dir, 'additional_chat_templates/t0.jinja'));
  expect(await names()).toHaveLength(64);
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ['no tokenizer', {}, /tokenizer.json: is missing, and so is tokenizer.model/],
  ['one that is cut', { 'tokenizer.json': '{"model": ' }, /tokenizer.json: .*JSON/],
  ['one that is a list', { 'tokenizer.json': [] }, /tokenizer.json: is not a JSON object/],
  [
    'one of a kind that is not built',
    { 'tokenizer.json': { ...toyTokenizer(), model: { type: 'WordLevel' } } },
    /WordLevel/,
  ],
  [
    'one of more words than the model has',
    { 'tokenizer.json': toyTokenizer([{ id: 1000, content: '<x>' }]) },
    /"<x>" has the id 1000/,
  ],
  ['a tokenizer.model that is none', { 'tokenizer.model': 'no such' }, /tokenizer.model: is no sentencepiece model/],
])('%s is refused, naming the file', async (_, files, message) => {
  for (const [name, content] of Object.entries(files)) await put(name, content);
  await expect(built()).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(message) });
});

test.each(['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'])(
  '%s that is no object is refused',
  async (name) => {
    for (const content of ['[]', '7', '"text"', 'null']) {
      await copyFile(join(fixture, 'tokenizer.model'), join(dir, 'tokenizer.model'));
      await put(name, content);
      await expect(readTokenizer(dir)).rejects.toMatchObject({
        code: 'CHECKPOINT_INVALID',
        message: `${join(dir, name)}: is not a JSON object`,
      });
    }
  },
);

test('tokens of tokenizer_config.json are as it says, and stand within words where it says nothing', async () => {
  await copyFile(join(fixture, 'tokenizer.model'), join(dir, 'tokenizer.model'));
  const { size } = await built();
  await put('tokenizer_config.json', {
    added_tokens_decoder: {
      [size]: { content: '<a>' },
      [size + 1]: { content: '<b>', special: true, lstrip: true, rstrip: true, single_word: true, normalized: true },
    },
    additional_special_tokens: ['<a>'],
  });
  const off = { lstrip: false, rstrip: false, singleWord: false, normalized: false };
  expect((await built()).addedTokens.filter(({ id }) => id >= size)).toEqual([
    { id: size, content: '<a>', special: true, ...off },
    { id: size + 1, content: '<b>', special: true, lstrip: true, rstrip: true, singleWord: true, normalized: true },
  ]);
});

test('an added token takes the place of a placeholder of tokenizer.model, and no words become it', async () => {
  const field = (value: string | Buffer): Buffer => Buffer.concat([Buffer.of(10, value.length), Buffer.from(value)]);
  // A field of the file, and in it the text: both of bytes behind a number and their length.
  const placeholder = field(field('[UNUSED_TOKEN_1]'));
  await put('tokenizer_config.json', {});
  await copyFile(join(fixture, 'tokenizer.model'), join(dir, 'tokenizer.model'));
  const { size } = await built();
  await appendFile(join(dir, 'tokenizer.model'), placeholder);
  await put('tokenizer_config.json', {
    add_bos_token: false,
    added_tokens_decoder: { [size]: { content: '<|im_start|>', special: true } },
  });
  const tokenizer = await built();
  expect(tokenizer.size).toBe(size + 1);
  expect(tokenizer.textOf(size)).toBe('<|im_start|>');
  expect(tokenizer.idOf('[UNUSED_TOKEN_1]')).toBeUndefined();
  expect(tokenizer.addedTokens.find(({ id }) => id === size)).toMatchObject({ content: '<|im_start|>', special: true });
  expect(idsOf(tokenizer, 'a<|im_start|>b')).toContain(size);
  expect(tokenizer.encode('a<|im_start|>[UNUSED_TOKEN_1]')).not.toContain(size);
  await put('tokenizer_config.json', { added_tokens_decoder: { [size]: { content: '▁the' } } });
  await expect(readTokenizer(dir)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(/tokenizer.model: has "▁the" at the id \d+, where an added token has it at \d+/),
  });
});

test('a config that puts other tokens on the ids of bytes and marks is of another vocabulary', async () => {
  await copyFile(join(fixture, 'tokenizer.model'), join(dir, 'tokenizer.model'));
  await put('tokenizer_config.json', { added_tokens_decoder: { 5: { content: '<|im_start|>' } } });
  await expect(readTokenizer(dir)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(
      /tokenizer_config.json: has "<\|im_start\|>" at the id 5, where .*tokenizer.model has "<0x02>"/,
    ),
  });
});

test('a model may have more rows than its tokenizer has words', async () => {
  await put('tokenizer.json', toyTokenizer([{ id: 999, content: '<x>' }]));
  expect((await built()).size).toBe(1000);
});
