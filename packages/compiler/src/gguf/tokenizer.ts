import { byteLevelTokenizer } from './byte-level-tokenizer.js';
import type { Metadata } from './metadata.js';

/** What llama.cpp says a token is; a normal one is 1. */
const tokenType = { unknown: 2, control: 3, userDefined: 4, unused: 5 } as const;

/** A turn ends with any of these, also where a file names another one only. */
const turnEnds: ReadonlySet<string> = new Set([
  '<|im_end|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|end|>',
  '<|end_of_text|>',
  '<|endoftext|>',
  '<end_of_turn>',
]);

/** The files that a checkpoint has of its tokenizer and of how it is used. */
export interface TokenizerFiles {
  readonly tokenizer: Readonly<Record<string, unknown>>;
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
  readonly generationConfig: Readonly<Record<string, unknown>>;
}

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly typeOf: (id: number) => number;
}

/**
 * The tokenizer of a GGUF file, as a checkpoint would have it.
 * @param rows of the embedding, one for each token
 * @throws TesseraError CHECKPOINT_INVALID naming the value that is missing, wrong or of a kind that is not built
 */
export function tokenizerOf(metadata: Metadata, rows: number): TokenizerFiles {
  const vocabulary = readVocabulary(metadata, rows);
  const { tokens, typeOf } = vocabulary;
  const added = tokens.flatMap((content, id) => {
    const type = typeOf(id);
    const special = type === tokenType.control || type === tokenType.unknown;
    if (!special && type !== tokenType.userDefined) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
  const special = specialTokens(metadata, tokens);
  const generic = { version: '1.0', truncation: null, padding: null, added_tokens: added, post_processor: null };
  return {
    tokenizer: { ...generic, ...modelOf(metadata, vocabulary) },
    tokenizerConfig: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      clean_up_tokenization_spaces: false,
      ...special.texts,
      ...chatTemplate(metadata),
    },
    generationConfig: {
      eos_token_id: [...new Set([...special.ends, ...added.filter(endsTurn).map(({ id }) => id)])],
      pad_token_id: special.pad,
    },
  };
}

const endsTurn = ({ content, special }: { content: string; special: boolean }): boolean =>
  special && turnEnds.has(content);

function readVocabulary(metadata: Metadata, rows: number): Vocabulary {
  const key = 'tokenizer.ggml.tokens';
  const tokens = metadata.required(key, metadata.texts(key));
  if (tokens.length > rows) {
    throw metadata.problem(key, `has ${tokens.length} tokens, but the tensor token_embd.weight has ${rows} rows`);
  }
  const types = metadata.numbers('tokenizer.ggml.token_type');
  if (types !== undefined && types.length !== tokens.length) {
    throw metadata.problem('tokenizer.ggml.token_type', `has ${types.length} entries for ${tokens.length} tokens`);
  }
  return { tokens, typeOf: (id) => types?.[id] ?? 1 };
}

function modelOf(metadata: Metadata, { tokens, typeOf }: Vocabulary): Readonly<Record<string, unknown>> {
  const key = 'tokenizer.ggml.model';
  const model = metadata.required(key, metadata.text(key));
  switch (model) {
    case 'gpt2':
      return byteLevelTokenizer(
        metadata,
        idsOf(metadata, tokens, (id) => typeOf(id) !== tokenType.unused),
      );
    default:
      throw metadata.problem(key, `is ${model}, which is not supported; known is gpt2`);
  }
}

/** Ids by text, without what only fills up the vocabulary. */
function idsOf(metadata: Metadata, tokens: readonly string[], isUsed: (id: number) => boolean): Record<string, number> {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    if (!isUsed(id)) continue;
    const other = ids.get(token);
    if (other !== undefined) {
      throw metadata.problem('tokenizer.ggml.tokens', `has ${JSON.stringify(token)} twice, as ${other} and ${id}`);
    }
    ids.set(token, id);
  }
  return Object.fromEntries(ids);
}

function specialTokens(
  metadata: Metadata,
  tokens: readonly string[],
): { texts: Record<string, string>; ends: number[]; pad: number | undefined } {
  const idOf = (kind: string): number | undefined => {
    const key = `tokenizer.ggml.${kind}_token_id`;
    const id = metadata.number(key);
    if (id !== undefined && tokens[id] === undefined) {
      throw metadata.problem(key, `is ${id}, but there are ${tokens.length} tokens`);
    }
    return id;
  };
  const named = {
    bos_token: idOf('bos'),
    eos_token: idOf('eos'),
    unk_token: idOf('unknown'),
    pad_token: idOf('padding'),
  };
  const texts = Object.entries(named).flatMap(([name, id]) => (id === undefined ? [] : [[name, tokens[id] as string]]));
  return {
    texts: Object.fromEntries(texts) as Record<string, string>,
    ends: [named.eos_token, idOf('eot'), idOf('eom')].filter((id) => id !== undefined),
    pad: named.pad_token,
  };
}

/** Templates beside the one that is used lie under names of their own. */
function chatTemplate(metadata: Metadata): { chat_template?: unknown } {
  const key = 'tokenizer.chat_template';
  const template = metadata.text(key);
  const others = (metadata.texts('tokenizer.chat_templates') ?? []).flatMap((name) => {
    const text = metadata.text(`${key}.${name}`);
    return text === undefined ? [] : [{ name, template: text }];
  });
  if (template === undefined) return others.length === 0 ? {} : { chat_template: others };
  return { chat_template: others.length === 0 ? template : [{ name: 'default', template }, ...others] };
}
