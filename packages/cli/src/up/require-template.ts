import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Bundle, tokenizerFiles } from '@tessera/bundle';
import { ChatTemplates, chooseTemplate, Tokenizer } from '@tessera/tokenizer';

/**
 * Sees that the model has the chat template that is asked for.
 * @throws TesseraError CONFIG_INVALID with what can be asked for, as a base model has none
 */
export async function requireTemplate(bundle: Bundle, wanted: string | undefined): Promise<void> {
  const [tokenizer, config] = await Promise.all(
    tokenizerFiles.map(async (name) => JSON.parse(await readFile(bundle.file(name), 'utf8')) as unknown),
  );
  await chooseTemplate(new ChatTemplates(config), new Tokenizer(tokenizer), wanted, '--chat-template');
}

/** Flags of the engine. A file is named from the root: the engine may have another working directory. */
export function templateFlags(wanted: string | undefined): string[] {
  if (wanted === undefined) return [];
  const isFile = wanted.includes('/') || wanted.endsWith('.jinja');
  return ['--prompt-chat-template', isFile ? resolve(wanted) : wanted];
}
