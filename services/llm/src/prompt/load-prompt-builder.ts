import { readFile } from 'node:fs/promises';
import { type Bundle, tokenizerFiles } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { ChatTemplate } from './chat-template.js';
import { PromptBuilder } from './prompt-builder.js';
import { TextTokenizer } from './text-tokenizer.js';

async function readObject(path: string): Promise<object> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof value === 'object' && value !== null) return value;
  } catch (cause) {
    throw new TesseraError('CHECKPOINT_INVALID', `${path}: cannot be read as JSON`, { cause });
  }
  throw new TesseraError('CHECKPOINT_INVALID', `${path}: is not a JSON object`);
}

/**
 * Reads tokenizer.json and tokenizer_config.json of a bundle.
 * @param maxPositions of prompt and answer; by default the model's context
 */
export async function loadPromptBuilder(
  bundle: Bundle,
  maxPositions = bundle.manifest.llm.maxPositions,
): Promise<PromptBuilder> {
  const [tokenizerFile, configFile] = tokenizerFiles;
  const [tokenizer, config] = await Promise.all([
    readObject(bundle.file(tokenizerFile)),
    readObject(bundle.file(configFile)),
  ]);
  const { tokens, maxPositions: context } = bundle.manifest.llm;
  const limitedBy = maxPositions < context ? `: kv.maxBytes allows no more of the model's ${context}` : undefined;
  const limits = { tokens, maxPositions, limitedBy };
  return new PromptBuilder(new TextTokenizer(tokenizer, config), new ChatTemplate(config), limits);
}
