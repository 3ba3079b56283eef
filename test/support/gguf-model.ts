import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ggufOf } from '@tessera/compiler/testing/gguf-of-checkpoint';
import { rounded } from '@tessera/compiler/testing/rounded-store';
import { writeGguf } from '@tessera/compiler/testing/write-gguf';
import { textOnlyModel } from './text-only.js';

interface PublishedTokenizer {
  readonly model: { readonly vocab: Readonly<Record<string, number>>; readonly merges: readonly (readonly string[])[] };
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
}

/** Kinds of tokens as GGUF numbers them. */
const [word, control] = [1, 3];

/** Writes the demo model's LLM as one GGUF file in Q8_0, its words and its chat template with it. Returns its path. */
export async function ggufModel(folder: string): Promise<string> {
  const checkpoint = await textOnlyModel(folder);
  const json = <T>(name: string): T => JSON.parse(readFileSync(join(checkpoint, name), 'utf8')) as T;
  const { model, added_tokens } = json<PublishedTokenizer>('tokenizer.json');
  const { chat_template } = json<{ chat_template: string }>('tokenizer_config.json');
  const words = Object.entries(model.vocab);
  const tokens = new Array<string>(words.length + added_tokens.length);
  const types = new Array<number>(tokens.length).fill(word);
  for (const [text, id] of words) tokens[id] = text;
  for (const { id, content } of added_tokens) {
    tokens[id] = content;
    types[id] = control;
  }
  const { metadata, tensors } = await ggufOf(checkpoint, rounded('Q8_0'));
  const vocabulary = {
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
    'tokenizer.ggml.merges': model.merges.map((pair) => pair.join(' ')),
    'tokenizer.chat_template': chat_template,
  };
  const file = join(folder, 'demo.Q8_0.gguf');
  await writeGguf(file, { metadata: { ...metadata, ...vocabulary }, tensors });
  return file;
}
