import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileCheckpoint } from '@tessera/compiler';
import { toyGguf } from '@tessera/compiler/testing/toy-gguf';
import { writeGguf } from '@tessera/compiler/testing/write-gguf';
import { readSentencePiece, Tokenizer } from '@tessera/tokenizer';
import { expect, onTestFinished, test } from 'vitest';
import { fixturePath, referenceOf } from './fixture.js';

test('a vocabulary of sentencepiece in a GGUF file gives the ids that it gives in tokenizer.model', async () => {
  const name = 'llama-legacy';
  const { pieces } = readSentencePiece(readFileSync(fixturePath(name, 'tokenizer.model')), name);
  const folder = mkdtempSync(join(tmpdir(), 'tessera-gguf-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'model.gguf');
  const vocabulary = {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.pre': undefined,
    'tokenizer.ggml.merges': undefined,
    'tokenizer.ggml.tokens': pieces.map(({ text }) => text),
    'tokenizer.ggml.scores': { f32s: pieces.map(({ score }) => score) },
    'tokenizer.ggml.token_type': pieces.map(({ type }) => type),
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
  };
  await writeGguf(file, toyGguf(vocabulary, pieces.length));
  const bundle = join(folder, 'bundle');
  const { llm } = await compileCheckpoint(file, bundle, { weights: 'auto' });
  expect(llm).toMatchObject({ vocabSize: pieces.length, eosTokenIds: [2] });
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(join(bundle, 'tokenizer.json'), 'utf8')));
  const { texts, pieces: ids } = referenceOf(name);
  expect(tokenizer.prefix.map(({ id }) => id)).toEqual([1]);
  const cut = texts.map(({ text }) => tokenizer.encode(text));
  expect(cut).toEqual(ids);
});
