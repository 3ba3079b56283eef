import { createHash } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BundleForm } from './bundle-form.js';
import { contentDigest, fileDigest } from './content-digest.js';

const configs = [
  'added_tokens.json',
  'additional_chat_templates/tool_use.jinja',
  'chat_template.jinja',
  'config.json',
  'generation_config.json',
  'model.safetensors.index.json',
  'preprocessor_config.json',
  'special_tokens_map.json',
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
];
const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];

let dir = '';

/** The digest does not look into the files: any content will do, of each its own. */
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-digest-'));
  await mkdir(join(dir, 'additional_chat_templates'));
  for (const name of [...configs, ...shards]) await writeFile(join(dir, name), name);
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const digest = (weights: 'float32' | 'int8' = 'float32'): Promise<string> =>
  contentDigest(dir, { weights }, fileDigest);

test.each([...configs, ...shards])('what %s says, and whether it is there, is another content', async (name) => {
  const before = await digest();
  expect(await digest()).toBe(before);
  await appendFile(join(dir, name), ' ');
  const changed = await digest();
  await rm(join(dir, name));
  expect(new Set([before, changed, await digest()]).size).toBe(3);
});

test('how weights are held, and which shard has which content, is part of it; other files are not', async () => {
  const before = await digest();
  expect(await digest('int8')).not.toBe(before);
  await writeFile(join(dir, 'README.md'), 'of no matter');
  await writeFile(join(dir, 'additional_chat_templates', 'README.md'), 'of no matter');
  await mkdir(join(dir, 'additional_chat_templates', 'older'));
  await writeFile(join(dir, 'model.bin'), 'the same weights again');
  expect(await digest()).toBe(before);
  const [one, other] = shards.map((name) => join(dir, name)) as [string, string];
  await rename(one, `${one}.away`);
  await rename(other, one);
  await rename(`${one}.away`, other);
  expect(await digest()).not.toBe(before);
});

test('how the LLM is cut, and what its cache holds, are part of it; float32 is what it holds anyway', async () => {
  const forms: Omit<BundleForm, 'weights'>[] = [
    ...([undefined, 'experts', 'layers=2', 'layers=3'] as const).map((cut) => ({ cut })),
    { kvCache: 'float16' },
    { cut: 'experts', kvCache: 'float16' },
  ];
  const of = (form: Omit<BundleForm, 'weights'>) => contentDigest(dir, { weights: 'int8', ...form }, fileDigest);
  const digests = await Promise.all(forms.map(of));
  expect(new Set(digests).size).toBe(forms.length);
  expect(await of({ kvCache: 'float32' })).toBe(digests[0]);
});

test('of a GGUF model what each of its files says is part of it, and not what they are called', async () => {
  const write = async (name: string, parts: readonly string[]): Promise<string> => {
    const paths = parts.map((_, index) => join(dir, `${name}-0000${index + 1}-of-00002.gguf`));
    for (const [index, part] of parts.entries()) await writeFile(paths[index] as string, part);
    return contentDigest(paths[0] as string, { weights: 'int8' }, fileDigest);
  };
  const before = await write('model', ['one', 'two']);
  expect(await write('renamed', ['one', 'two'])).toBe(before);
  const others = [
    await write('model', ['1', 'two']),
    await write('model', ['one', '2']),
    await write('model', ['two', 'one']),
  ];
  expect(new Set([before, ...others]).size).toBe(4);
});

/** What is hashed at once of a file: the places that matter are around its multiples. */
const part = 1024 * 1024;

test.each([0, 1, part - 1, part, part + 1, 3 * part + 5])('a file of %i bytes is hashed whole', async (bytes) => {
  const path = join(dir, 'large');
  // Seven bytes over and over: they do not divide a part, so no two parts are alike.
  const content = Buffer.alloc(bytes, 'seven b');
  await writeFile(path, content);
  expect(await fileDigest(path)).toBe(createHash('sha256').update(content).digest('hex'));
});

test.each(['model-00001-of-00002.gguf', 'model.safetensors'])(
  '%s: a file that cannot be read is named',
  async (name) => {
    const path = join(dir, name);
    if (name.endsWith('.gguf')) await writeFile(path, 'the second one is missing');
    else await mkdir(path);
    const given = name.endsWith('.gguf') ? path : dir;
    await expect(contentDigest(given, { weights: 'int8' }, fileDigest)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(
        /(model-00002-of-00002.gguf: cannot be read: ENOENT|model.safetensors: cannot be read: EISDIR)/,
      ),
    });
  },
);

test('who digests a file may end it: what is thrown then is no fault of the checkpoint', async () => {
  const reason = new DOMException('nobody waits any more', 'AbortError');
  await expect(contentDigest(dir, { weights: 'int8' }, () => Promise.reject(reason))).rejects.toBe(reason);
  const signal = AbortSignal.abort(reason);
  await expect(contentDigest(dir, { weights: 'int8' }, (path) => fileDigest(path, signal))).rejects.toBe(reason);
});

test('the same checkpoint has the same digest in every release, until the compiler makes something else of it', async () => {
  // To be changed together with `compilerVersion` only: by another digest a fleet compiles all its models again.
  expect(await digest()).toBe('d2249b63fd51e7561e371811b69f2f89d5de60f2a1f8fca4f6ef88232efee8c9');
});
