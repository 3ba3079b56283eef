import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Bundle, type BundleManifest } from '@tessera/bundle';
import { toyTokenizer } from '@tessera/testing/tokenizers/toy-tokenizer';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { requireTemplate, templateFlags } from './require-template.js';

let dir = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-template-'));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

test('a model without a chat template is not started; the error says what can be asked for', async () => {
  await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(toyTokenizer()));
  await writeFile(join(dir, 'tokenizer_config.json'), '{}');
  const file = { bytes: 0, sha256: '' };
  const bundle = new Bundle(dir, {
    files: { 'tokenizer.json': file, 'tokenizer_config.json': file },
  } as unknown as BundleManifest);
  await expect(requireTemplate(bundle, undefined)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(
      /no chat template, as base models have none: set --chat-template to chatml or plain, .* a file, or none/,
    ),
  });
  await requireTemplate(bundle, 'plain');
  await requireTemplate(bundle, 'none');
  await writeFile(join(dir, 'tokenizer_config.json'), JSON.stringify({ chat_template: 'x' }));
  await requireTemplate(bundle, undefined);
});

test('the engine is given a name as it is, and a file from the root', () => {
  expect(templateFlags(undefined)).toEqual([]);
  expect(templateFlags('plain')).toEqual(['--prompt-chat-template', 'plain']);
  expect(templateFlags('own.jinja')).toEqual(['--prompt-chat-template', resolve('own.jinja')]);
});
