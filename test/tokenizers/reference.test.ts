import { readFileSync } from 'node:fs';
import { readSentencePiece, sentencePieceJson, Tokenizer } from '@tessera/tokenizer';
import { describe, expect, test } from 'vitest';
import { fixtureJson, fixtureNames, fixturePath, referenceOf } from './fixture.js';

/** Ids of a text in which added tokens count. */
function idsOf(tokenizer: Tokenizer, text: string): number[] {
  return [...tokenizer.split(text)].flatMap((part) => ('id' in part ? [part.id] : [...part]));
}

/** What tokens show as, from the first on. */
function written(tokenizer: Tokenizer, ids: readonly number[]): string {
  const bytes: Uint8Array[] = [];
  for (const id of ids) {
    const hasBegun = bytes.length > 0;
    if (tokenizer.bytesOf(id).length > 0) bytes.push(hasBegun ? tokenizer.bytesOf(id) : tokenizer.firstBytesOf(id));
  }
  return Buffer.concat(bytes).toString('utf8');
}

/** Names of bytes that stand in a text as words: Unigram of the tokenizers library takes them for the bytes. */
const namesByte = /<0x[0-9A-F]{2}>/;

describe.each(fixtureNames)('%s', (name) => {
  const tokenizer = new Tokenizer(fixtureJson(name, 'tokenizer.json'));
  const reference = referenceOf(name);

  test('ids are those of the tokenizers library, with and without added tokens', () => {
    expect(reference.texts.length).toBeGreaterThan(200);
    for (const [at, { text, ids }] of reference.texts.entries()) {
      if (name !== 'unigram-bytes' || !namesByte.test(text)) expect(idsOf(tokenizer, text), text).toEqual(ids);
      if (reference.plain !== undefined) expect(tokenizer.encode(text), text).toEqual(reference.plain[at]);
    }
  });

  test('tokens are written as the tokenizers library writes them', () => {
    for (const { ids, decoded } of reference.texts) expect(written(tokenizer, ids)).toBe(decoded);
    // Bytes that are no UTF-8 are another matter: the library marks each of them, and all that stand beside them.
    const sound = reference.random.filter(({ decoded }) => !decoded.includes('\ufffd'));
    expect(sound.length).toBeGreaterThan(20);
    for (const { ids, decoded } of sound) expect(written(tokenizer, ids)).toBe(decoded);
  });
});

/** The conversion of a fixture's tokenizer.model, by its tokenizer_config.json. */
function converted(name: string, config: Record<string, unknown>): Tokenizer {
  const model = readSentencePiece(readFileSync(fixturePath(name, 'tokenizer.model')), 'tokenizer.model');
  const extra = Object.entries((config.added_tokens_decoder ?? {}) as Record<string, { content: string }>);
  const options = {
    legacy: config.legacy as boolean | undefined,
    addPrefixSpace: config.add_prefix_space as boolean | undefined,
    extraTokens: extra.map(([id, token]) => ({ ...token, id: Number(id) })),
    where: 'tokenizer.model',
  };
  return new Tokenizer(JSON.parse(JSON.stringify(sentencePieceJson(model, options))));
}

describe('tokenizer.model', () => {
  test.each(['llama-legacy', 'llama-first', 'llama-no-prefix'])('%s: ids are those of transformers', (name) => {
    const tokenizer = converted(name, fixtureJson(name, 'tokenizer_config.json'));
    for (const { text, ids, decoded } of referenceOf(name).texts) {
      expect(idsOf(tokenizer, text), text).toEqual(ids);
      expect(written(tokenizer, ids)).toBe(decoded);
    }
  });

  test.each(['llama-legacy', 'unigram-nfkc', 'unigram-bytes'])('%s: ids are those of sentencepiece', (name) => {
    const tokenizer = converted(name, {});
    const { texts, pieces = [] } = referenceOf(name);
    expect(pieces).toHaveLength(texts.length);
    for (const [at, { text }] of texts.entries()) {
      // A user-defined piece is the template's here, as every added token is.
      if (name === 'unigram-bytes' && text.includes('<tool>')) continue;
      expect(tokenizer.encode(text), text).toEqual(pieces[at]);
    }
  });

  test.each(['word', 'char'])('of type %s is refused by name', (kind) => {
    const bytes = readFileSync(fixturePath(`refused-${kind}.model`));
    expect(() => readSentencePiece(bytes, 'x/tokenizer.model')).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_INVALID',
        message: `x/tokenizer.model: is a sentencepiece model of type ${kind}; bpe and unigram are supported`,
      }),
    );
  });
});
