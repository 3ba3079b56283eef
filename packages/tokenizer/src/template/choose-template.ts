import { readFile, stat } from 'node:fs/promises';
import { TesseraError } from '@tessera/protocol';
import type { Tokenizer } from '../tokenizer.js';
import { type ChatTemplate, longestSource } from './chat-template.js';
import { builtInTemplates, type ChatTemplates } from './chat-templates.js';

/** Asked for where no conversations are to be taken. */
const noTemplate = 'none';

/** What there is to choose from besides the model's own, in words. */
const others = `${builtInTemplates.join(' or ')}, which every model can be given, a file, or ${noTemplate} to take prompts as token ids only`;

/**
 * The chat template that is asked for.
 * @param wanted a name, a file (with a / in it, or ending in .jinja), or `none`; undefined for the model's own
 * @param setting how it is asked for, in errors
 * @returns undefined for `none`
 * @throws TesseraError CONFIG_INVALID where there is no such template, or the model has none
 */
export async function chooseTemplate(
  templates: ChatTemplates,
  tokenizer: Tokenizer,
  wanted: string | undefined,
  setting: string,
): Promise<ChatTemplate | undefined> {
  if (wanted === noTemplate) return undefined;
  const { names } = templates;
  if (wanted === undefined) {
    const own = templates.default();
    if (own !== undefined) return own;
    const what =
      names.length === 0
        ? 'no chat template, as base models have none'
        : `no default among the chat templates ${names.join(', ')}`;
    throw new TesseraError(
      'CONFIG_INVALID',
      `the model has ${what}: set ${setting} to ${[...names, others].join(', ')}`,
    );
  }
  const named = templates.named(wanted, tokenizer);
  if (named !== undefined) return named;
  if (!wanted.includes('/') && !wanted.endsWith('.jinja')) {
    const own = names.length === 0 ? 'no chat template' : `the chat templates ${names.join(', ')}`;
    throw new TesseraError('CONFIG_INVALID', `${setting} is ${wanted}, but the model has ${own}; set it to ${others}`);
  }
  return templates.of(await readTemplate(wanted, setting), wanted);
}

async function readTemplate(path: string, setting: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > longestSource) throw new Error(`it has more than ${longestSource} bytes`);
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', `${setting}: ${path} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}
