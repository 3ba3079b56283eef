import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tokenizerFiles } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { readJson } from './checkpoint/checkpoint.js';

/** Where newer checkpoints have their chat template; it goes before the one of tokenizer_config.json. */
export const chatTemplateFile = 'chat_template.jinja';

/**
 * Copies what prompts are built with. A chat template in a file of its own goes into the copy of tokenizer_config.json, so that
 * a bundle has it in one place.
 * @throws TesseraError CHECKPOINT_INVALID naming the file at fault
 */
export async function copyTokenizer(dir: string, outDir: string): Promise<void> {
  const unreadable = (name: string) => (cause: unknown) => {
    throw new TesseraError('CHECKPOINT_INVALID', `${join(dir, name)}: cannot be read`, { cause });
  };
  for (const name of tokenizerFiles) await copyFile(join(dir, name), join(outDir, name)).catch(unreadable(name));
  const template = await readFile(join(dir, chatTemplateFile), 'utf8').catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? undefined : unreadable(chatTemplateFile)(error),
  );
  if (template === undefined) return;
  const [, configFile] = tokenizerFiles;
  const config = (await readJson(dir, configFile)) as object;
  await writeFile(join(outDir, configFile), `${JSON.stringify({ ...config, chat_template: template }, null, 2)}\n`);
}
