import { readFile, stat } from 'node:fs/promises';
import { type Bundle, maxJsonBytes, tokenizerFiles } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { ChatTemplates, chooseTemplate, Tokenizer } from '@tessera/tokenizer';
import { PromptBuilder } from './prompt-builder.js';

async function readObject(path: string): Promise<object> {
  try {
    const { size } = await stat(path);
    if (size > maxJsonBytes) throw new Error(`is larger than ${maxJsonBytes} bytes`);
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof value === 'object' && value !== null) return value;
  } catch (cause) {
    throw new TesseraError('CHECKPOINT_INVALID', `${path}: cannot be read as JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
  throw new TesseraError('CHECKPOINT_INVALID', `${path}: is not a JSON object`);
}

/** What a bundle builds prompts with: its tokenizer, and the chat templates to choose from. @throws TesseraError CHECKPOINT_INVALID */
async function loadTokenizer(bundle: Bundle): Promise<{ tokenizer: Tokenizer; templates: ChatTemplates }> {
  const [tokenizerFile, configFile] = tokenizerFiles;
  const [tokenizer, config] = await Promise.all([
    readObject(bundle.file(tokenizerFile)),
    readObject(bundle.file(configFile)),
  ]);
  return { tokenizer: new Tokenizer(tokenizer, bundle.file(tokenizerFile)), templates: new ChatTemplates(config) };
}

/**
 * Reads tokenizer.json and tokenizer_config.json of a bundle.
 * @param maxPositions of prompt and answer; by default the model's context
 * @param chatTemplate a name, a file or `none`, as in prompt.chatTemplate; by default the model's own
 * @throws TesseraError CHECKPOINT_INVALID, CONFIG_INVALID where the model has no such template
 */
export async function loadPromptBuilder(
  bundle: Bundle,
  maxPositions = bundle.manifest.llm.maxPositions,
  chatTemplate?: string,
): Promise<PromptBuilder> {
  const { tokenizer, templates } = await loadTokenizer(bundle);
  const template = await chooseTemplate(templates, tokenizer, chatTemplate, 'prompt.chatTemplate');
  const { tokens, maxPositions: context } = bundle.manifest.llm;
  const limitedBy = maxPositions < context ? `: kv.maxBytes allows no more of the model's ${context}` : undefined;
  return new PromptBuilder(tokenizer, template, { tokens, maxPositions, limitedBy });
}

/**
 * What an engine needs of them: the tokens that it writes, and which of them end an answer.
 * @param chatTemplate as of loadPromptBuilder; another than the model's own may end turns with another token
 */
export async function loadWrittenTokens(
  bundle: Bundle,
  chatTemplate?: string,
): Promise<{ readonly tokenizer: Tokenizer; readonly eosTokenIds: readonly number[] }> {
  const { tokenizer, templates } = await loadTokenizer(bundle);
  const { eosTokenIds } = bundle.manifest.llm;
  if (chatTemplate === undefined) return { tokenizer, eosTokenIds };
  const template = await chooseTemplate(templates, tokenizer, chatTemplate, 'prompt.chatTemplate');
  const end = template?.endOfTurn(tokenizer);
  return { tokenizer, eosTokenIds: end === undefined ? eosTokenIds : [...new Set([...eosTokenIds, end])] };
}
