import { invalid } from '../invalid.js';
import { byteToken } from '../model/vocabulary.js';
import { type Piece, pieceTypes, type SentencePieceModel } from './sentencepiece-model.js';

const mark = '▁';
/** UTF-16 units of a piece; sentencepiece trains none that are longer. */
const longestPiece = 512;
/** Pairs that make up pieces; the largest published vocabularies have 0.6 million. */
const mostMerges = 1_500_000;

/** A token besides the pieces, or a piece that stands outside the merges: an entry of `added_tokens`. */
export interface ExtraToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly single_word?: boolean;
  readonly normalized?: boolean;
}

export interface SentencePieceOptions {
  /** Whether a text begins as a word does; by default as the model has it. */
  readonly addPrefixSpace?: boolean | undefined;
  /** Whether each stretch between added tokens begins so, as LLaMA's first tokenizers had it, or the whole text alone. */
  readonly legacy?: boolean | undefined;
  /** Added tokens besides control, unknown and user-defined pieces; those of a piece's id take its place. */
  readonly extraTokens?: readonly ExtraToken[] | undefined;
  /** Texts of tokens that every text begins and ends with where it is no conversation. */
  readonly before?: string | undefined;
  readonly after?: string | undefined;
  /** The file, in errors. */
  readonly where: string;
}

/**
 * The tokenizer.json that cuts texts as a sentencepiece model does.
 * @throws TesseraError CHECKPOINT_INVALID
 */
export function sentencePieceJson(model: SentencePieceModel, options: SentencePieceOptions): object {
  const { algorithm, charsmap, removeExtraWhitespaces, addDummyPrefix } = model;
  const { addPrefixSpace = addDummyPrefix, legacy = true, where } = options;
  const long = model.pieces.findIndex(({ text }) => text.length > longestPiece);
  if (long >= 0) throw invalid(where, `the piece ${long} has more than ${longestPiece} characters`);
  const pieces = withTokens(model.pieces, options);
  const bytes = pieces.filter(({ type }) => type === pieceTypes.byte);
  const byteFallback = bytes.length > 0;
  if (byteFallback && new Set(bytes.map(({ text }) => text)).size !== 256) {
    throw invalid(where, `has tokens for ${bytes.length} bytes, not for all 256`);
  }
  if (byteFallback && bytes.some(({ text }, byte) => text !== byteToken(byte))) {
    throw invalid(where, 'has bytes in an order, or with names, that are not its own');
  }
  const normalizers = [
    ...(charsmap.length > 0
      ? [{ type: 'Precompiled', precompiled_charsmap: Buffer.from(charsmap).toString('base64') }]
      : []),
    ...(removeExtraWhitespaces ? [replace({ Regex: ' {2,}' }, ' '), replace({ Regex: '\\A | \\z' }, '')] : []),
    ...(legacy && addPrefixSpace ? [{ type: 'Prepend', prepend: mark }] : []),
    ...(legacy || !addPrefixSpace ? [replace({ String: ' ' }, mark)] : []),
  ];
  const isFirst = !legacy && addPrefixSpace;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(model.pieces, options),
    normalizer: normalizers.length === 0 ? null : { type: 'Sequence', normalizers },
    pre_tokenizer: isFirst ? { type: 'Metaspace', replacement: mark, prepend_scheme: 'first', split: false } : null,
    post_processor: postProcessor(pieces, options),
    decoder: {
      type: 'Sequence',
      decoders: [
        replace({ String: mark }, ' '),
        ...(byteFallback ? [{ type: 'ByteFallback' }] : []),
        { type: 'Fuse' },
        ...(addPrefixSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: algorithm === 'bpe' ? bpe(pieces, byteFallback, where) : unigram(pieces, byteFallback),
  };
}

/** The pieces, with added tokens of another text in the places that they take. */
function withTokens(pieces: readonly Piece[], { extraTokens = [], where }: SentencePieceOptions): readonly Piece[] {
  const taken = extraTokens.filter(({ id, content }) => id < pieces.length && pieces[id]?.text !== content);
  if (taken.length === 0) return pieces;
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const result = [...pieces];
  for (const { id, content } of taken) {
    const other = ids.get(content);
    if (other !== undefined) {
      throw invalid(where, `has ${JSON.stringify(content)} at the id ${other}, where an added token has it at ${id}`);
    }
    // No letters come together to it.
    result[id] = { ...(pieces[id] as Piece), text: content, type: pieceTypes.control };
  }
  return result;
}

function replace(pattern: object, content: string): object {
  return { type: 'Replace', pattern, content };
}

function unigram(pieces: readonly Piece[], byteFallback: boolean): object {
  const unknown = pieces.findIndex(({ type }) => type === pieceTypes.unknown);
  return {
    type: 'Unigram',
    unk_id: unknown < 0 ? null : unknown,
    vocab: pieces.map(({ text, score }) => [text, score]),
    byte_fallback: byteFallback,
  };
}

function bpe(pieces: readonly Piece[], byteFallback: boolean, where: string): object {
  const unknown = pieces.find(({ type }) => type === pieceTypes.unknown);
  return {
    type: 'BPE',
    dropout: null,
    unk_token: unknown?.text ?? null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: byteFallback,
    ignore_merges: false,
    vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
    merges: mergesOf(pieces, where),
  };
}

/** Pieces that letters can come together to: sentencepiece looks for no others. */
const written: ReadonlySet<number> = new Set([pieceTypes.normal, pieceTypes.userDefined, pieceTypes.unused]);

/**
 * All pairs of pieces that make up a piece. The likeliest come first, and of those that make up the same one the one whose
 * first part is longer, as transformers orders them.
 */
function mergesOf(pieces: readonly Piece[], where: string): [string, string][] {
  const ids = new Map<string, number>();
  for (const [id, { text, type }] of pieces.entries()) if (written.has(type)) ids.set(text, id);
  const merges: { readonly left: string; readonly right: string; readonly score: number; readonly length: number }[] =
    [];
  for (const [text, id] of ids) {
    const { score } = pieces[id] as Piece;
    const characters = [...text];
    // From the end: the longer first part before the shorter.
    for (let length = characters.length - 1, at = text.length; length > 0; length--) {
      at -= (characters[length] as string).length;
      const [left, right] = [text.slice(0, at), text.slice(at)];
      if (!ids.has(left) || !ids.has(right)) continue;
      if (merges.length === mostMerges) throw invalid(where, `its pieces make more than ${mostMerges} merges`);
      merges.push({ left, right, score, length });
    }
  }
  merges.sort((a, b) => b.score - a.score || b.length - a.length || [...b.right].length - [...a.right].length);
  return merges.map(({ left, right }) => [left, right]);
}

function addedTokens(pieces: readonly Piece[], { extraTokens = [] }: SentencePieceOptions): object[] {
  const outside: ReadonlySet<number> = new Set([pieceTypes.unknown, pieceTypes.control, pieceTypes.userDefined]);
  const tokens = new Map<number, ExtraToken>();
  for (const [id, { text, type }] of pieces.entries()) {
    if (outside.has(type) && text !== '')
      tokens.set(id, { id, content: text, special: type !== pieceTypes.userDefined });
  }
  for (const token of extraTokens) {
    const piece = tokens.get(token.id);
    tokens.set(token.id, piece?.content === token.content ? { ...piece, ...token } : token);
  }
  return [...tokens.values()]
    .sort((a, b) => a.id - b.id)
    .map(
      ({ id, content, special = false, lstrip = false, rstrip = false, single_word = false, normalized = false }) => ({
        id,
        content,
        single_word,
        lstrip,
        rstrip,
        normalized,
        special,
      }),
    );
}

function postProcessor(
  pieces: readonly Piece[],
  { before, after, extraTokens = [], where }: SentencePieceOptions,
): object | null {
  const special = (text: string): object => {
    const id =
      extraTokens.find(({ content }) => content === text)?.id ?? pieces.findIndex((piece) => piece.text === text);
    if (id < 0) throw invalid(where, `has no token ${JSON.stringify(text)}, which every text is to begin or end with`);
    return { id: text, ids: [id], tokens: [text] };
  };
  const around = [before, after].filter((text) => text !== undefined);
  if (around.length === 0) return null;
  const token = (id: string, type_id = 0): object => ({ SpecialToken: { id, type_id } });
  const text = (id: string, type_id = 0): object => ({ Sequence: { id, type_id } });
  const each = (id: string, type: number): object[] => [
    ...(before === undefined ? [] : [token(before, type)]),
    text(id, type),
    ...(after === undefined ? [] : [token(after, type)]),
  ];
  return {
    type: 'TemplateProcessing',
    single: each('A', 0),
    pair: [...each('A', 0), ...each('B', 1)],
    special_tokens: Object.fromEntries(around.map((one) => [one, special(one)])),
  };
}
