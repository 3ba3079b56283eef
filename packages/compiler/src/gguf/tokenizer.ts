import { type SentencePieceModel, sentencePieceJson } from '@tessera/tokenizer';
import type { CheckpointTokenizer } from '../checkpoint/checkpoint-tokenizer.js';
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

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly typeOf: (id: number) => number;
}

/**
 * The tokenizer of a GGUF file, as a checkpoint would have it.
 * @param rows of the embedding, one for each token
 * @throws TesseraError CHECKPOINT_INVALID naming the value that is missing, wrong or of a kind that is not built
 */
export function tokenizerOf(
  metadata: Metadata,
  rows: number,
): {
  readonly tokenizer: CheckpointTokenizer;
  /** Of generation_config.json. */
  readonly generation: Readonly<Record<string, unknown>>;
} {
  const vocabulary = readVocabulary(metadata, rows);
  const { tokens, typeOf } = vocabulary;
  const added = tokens.flatMap((content, id) => {
    const type = typeOf(id);
    const special = type === tokenType.control || type === tokenType.unknown;
    if (!special && type !== tokenType.userDefined) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
  const special = specialTokens(metadata, tokens);
  return {
    tokenizer: {
      path: metadata.path,
      tokenizer: { version: '1.0', ...partsOf(metadata, vocabulary, special.texts), added_tokens: added },
      config: {
        tokenizer_class: 'PreTrainedTokenizerFast',
        clean_up_tokenization_spaces: false,
        ...special.texts,
        ...chatTemplate(metadata),
      },
    },
    generation: {
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

/** Everything of a tokenizer.json but its added tokens, which byte-level and sentencepiece vocabularies have alike. */
function partsOf(metadata: Metadata, vocabulary: Vocabulary, texts: SpecialTexts): object {
  const key = 'tokenizer.ggml.model';
  const model = metadata.required(key, metadata.text(key));
  const ids = idsOf(metadata, vocabulary);
  const begins = (byDefault: boolean): string | undefined =>
    (metadata.flag('tokenizer.ggml.add_bos_token') ?? byDefault) ? texts.bos_token : undefined;
  switch (model) {
    case 'gpt2': {
      const { beginsTexts, ...parts } = byteLevelTokenizer(metadata, Object.fromEntries(ids));
      const before = begins(beginsTexts);
      return {
        ...parts,
        post_processor: before === undefined ? null : beginningWith(before, ids.get(before) as number),
      };
    }
    case 'llama': {
      const model = sentencePieceModel(metadata, vocabulary);
      return sentencePieceJson(model, { where: metadata.path, legacy: true, before: begins(true) });
    }
    default:
      throw metadata.problem(key, `is ${model}, which is not supported; known are gpt2 and llama`);
  }
}

/** What llama.cpp keeps of a vocabulary of sentencepiece; texts are not changed before they are cut. */
function sentencePieceModel(metadata: Metadata, { tokens, typeOf }: Vocabulary): SentencePieceModel {
  const key = 'tokenizer.ggml.scores';
  const scores = metadata.required(key, metadata.numbers(key));
  if (scores.length !== tokens.length) {
    throw metadata.problem(key, `has ${scores.length} entries for ${tokens.length} tokens`);
  }
  return {
    algorithm: 'bpe',
    pieces: tokens.map((text, id) => ({ text, score: scores[id] as number, type: typeOf(id) })),
    charsmap: new Uint8Array(0),
    addDummyPrefix: metadata.flag('tokenizer.ggml.add_space_prefix') ?? true,
    removeExtraWhitespaces: metadata.flag('tokenizer.ggml.remove_extra_whitespaces') ?? false,
  };
}

/** Texts that are no conversation begin with a token of their own. */
function beginningWith(text: string, id: number): object {
  const before = { SpecialToken: { id: text, type_id: 0 } };
  const sequence = (name: string): object => ({ Sequence: { id: name, type_id: 0 } });
  return {
    type: 'TemplateProcessing',
    single: [before, sequence('A')],
    pair: [before, sequence('A'), sequence('B')],
    special_tokens: { [text]: { id: text, ids: [id], tokens: [text] } },
  };
}

/** Ids by text, without what only fills up the vocabulary. */
function idsOf(metadata: Metadata, { tokens, typeOf }: Vocabulary): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    if (typeOf(id) === tokenType.unused) continue;
    const other = ids.get(token);
    if (other !== undefined) {
      throw metadata.problem('tokenizer.ggml.tokens', `has ${JSON.stringify(token)} twice, as ${other} and ${id}`);
    }
    ids.set(token, id);
  }
  return ids;
}

type SpecialTexts = Readonly<Partial<Record<'bos_token' | 'eos_token' | 'unk_token' | 'pad_token', string>>>;

function specialTokens(
  metadata: Metadata,
  tokens: readonly string[],
): { texts: SpecialTexts; ends: number[]; pad: number | undefined } {
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
    texts: Object.fromEntries(texts) as SpecialTexts,
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
