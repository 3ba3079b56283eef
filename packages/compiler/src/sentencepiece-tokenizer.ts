import { TesseraError } from '@tessera/protocol';
import { type ExtraToken, pieceTypes, readSentencePiece, sentencePieceJson } from '@tessera/tokenizer';
import { z } from 'zod';
import { parseConfig, withoutNulls } from './config.js';
import { tokenId } from './models/token-ids.js';

const token = z.object({
  content: z.string().min(1),
  special: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
  normalized: z.boolean().default(false),
});
const tokenText = z.union([z.string(), token.transform(({ content }) => content)]);

/** What tokenizer_config.json says of how a vocabulary of sentencepiece is used. */
const tokenizerConfig = z.object({
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), token).default({}),
  additional_special_tokens: z.array(tokenText).default([]),
  bos_token: tokenText.optional(),
  eos_token: tokenText.optional(),
  unk_token: tokenText.optional(),
  pad_token: tokenText.optional(),
  add_bos_token: z.boolean().default(true),
  add_eos_token: z.boolean().default(false),
  add_prefix_space: z.boolean().optional(),
  legacy: z.boolean().optional(),
});

/** Pieces whose place no added token takes. */
const fixed: ReadonlySet<number> = new Set([pieceTypes.byte, pieceTypes.unknown, pieceTypes.control]);

const addedFile = z.record(z.string().min(1), tokenId);

/**
 * A tokenizer.model as the tokenizer.json that transformers would make of it.
 * @param config tokenizer_config.json
 * @param added added_tokens.json, where older checkpoints have their tokens: text to id
 * @throws TesseraError CHECKPOINT_INVALID naming the file at fault
 */
export function sentencePieceTokenizer(bytes: Uint8Array, config: object, added: object, path: string): object {
  const options = parseConfig(tokenizerConfig, withoutNulls(config), 'tokenizer_config.json');
  const model = readSentencePiece(bytes, path);
  const { bos_token: bos, eos_token: eos } = options;
  const special = new Set([bos, eos, options.unk_token, options.pad_token, ...options.additional_special_tokens]);
  const extra = new Map<number, ExtraToken>();
  for (const [content, id] of Object.entries(parseConfig(addedFile, added, 'added_tokens.json'))) {
    extra.set(id, { id, content, special: special.has(content) });
  }
  for (const [id, one] of Object.entries(options.added_tokens_decoder)) {
    extra.set(Number(id), { ...one, id: Number(id), special: one.special || special.has(one.content) });
  }
  for (const { id, content } of extra.values()) {
    const piece = model.pieces[id];
    // Placeholders are kept for such tokens; what bytes and marks of the model stand for is another vocabulary's.
    if (piece !== undefined && piece.text !== content && fixed.has(piece.type)) {
      const what = `has ${JSON.stringify(content)} at the id ${id}, where ${path} has ${JSON.stringify(piece.text)}`;
      throw new TesseraError('CHECKPOINT_INVALID', `tokenizer_config.json: ${what}`);
    }
  }
  for (const [id, { text }] of model.pieces.entries()) {
    if (special.has(text) && !extra.has(id)) extra.set(id, { id, content: text, special: true });
  }
  return sentencePieceJson(model, {
    addPrefixSpace: options.add_prefix_space,
    legacy: options.legacy,
    extraTokens: [...extra.values()],
    before: options.add_bos_token ? bos : undefined,
    after: options.add_eos_token ? eos : undefined,
    where: path,
  });
}
