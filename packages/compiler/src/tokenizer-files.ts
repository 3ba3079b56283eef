import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tokenizerFiles } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { longestSource, mostTemplates, Tokenizer } from '@tessera/tokenizer';
import type { CheckpointTokenizer } from './checkpoint/checkpoint-tokenizer.js';
import { readJson } from './checkpoint/read-json.js';
import { sentencePieceTokenizer } from './sentencepiece-tokenizer.js';

/** Where newer checkpoints have their chat template; it goes before the one of tokenizer_config.json. */
export const chatTemplateFile = 'chat_template.jinja';
/** Where they have others, each by its name. */
export const chatTemplateFolder = 'additional_chat_templates';
/** A vocabulary of sentencepiece, where there is no tokenizer.json. */
export const sentencePieceFile = 'tokenizer.model';
/** Where older checkpoints name tokens. */
export const addedTokensFile = 'added_tokens.json';
export const specialTokensFile = 'special_tokens_map.json';

const [tokenizerFile, configFile] = tokenizerFiles;

/**
 * Reads the tokenizer of a checkpoint: tokenizer.json, or else what tokenizer.model becomes as one.
 * @throws TesseraError CHECKPOINT_INVALID naming the file at fault
 */
export async function readTokenizer(dir: string): Promise<CheckpointTokenizer> {
  const config = await withTemplates(dir, await withSpecialTokens(dir, (await objectOf(dir, configFile)) ?? {}));
  const tokenizer = await objectOf(dir, tokenizerFile);
  if (tokenizer !== undefined) return { path: join(dir, tokenizerFile), tokenizer, config };
  const path = join(dir, sentencePieceFile);
  const added = (await objectOf(dir, addedTokensFile)) ?? {};
  const bytes = await boundedFile(path, maxModelBytes);
  if (bytes !== undefined) return { path, tokenizer: sentencePieceTokenizer(bytes, config, added, path), config };
  const message = `${join(dir, tokenizerFile)}: is missing, and so is ${sentencePieceFile}; save the tokenizer as one of them`;
  throw new TesseraError('CHECKPOINT_INVALID', message);
}

/** A tokenizer.model of 256,000 words has 4 MB. */
const maxModelBytes = 64 * 1024 * 1024;

/**
 * Sees that the tokenizer can be built, and that the model has a row for each of its ids. A model may have more: vocabularies
 * are padded.
 * @throws TesseraError CHECKPOINT_INVALID naming the file
 */
export function checkTokenizer({ path, tokenizer }: CheckpointTokenizer, vocabSize: number): Tokenizer {
  const built = new Tokenizer(tokenizer, path);
  if (built.size > vocabSize) {
    const token = JSON.stringify(built.textOf(built.size - 1));
    const which = `the token ${token} has the id ${built.size - 1}, but config.json's vocab_size is ${vocabSize}`;
    throw new TesseraError('CHECKPOINT_INVALID', `${path}: ${which}; it is the vocabulary of another model`);
  }
  return built;
}

/** Writes what prompts are built with into a bundle. */
export async function writeTokenizer(outDir: string, { tokenizer, config }: CheckpointTokenizer): Promise<void> {
  await writeFile(join(outDir, tokenizerFile), `${JSON.stringify(tokenizer)}\n`);
  await writeFile(join(outDir, configFile), `${JSON.stringify(config, null, 2)}\n`);
}

/** Tokens that older checkpoints name in a file of their own. */
async function withSpecialTokens(dir: string, config: Record<string, unknown>): Promise<Record<string, unknown>> {
  return { ...(await objectOf(dir, specialTokensFile)), ...config };
}

/** Chat templates in files of their own go into the config, so that a bundle has them in one place. */
async function withTemplates(dir: string, config: Record<string, unknown>): Promise<Record<string, unknown>> {
  const own = await templateOf(join(dir, chatTemplateFile));
  const folder = join(dir, chatTemplateFolder);
  const names = await readdir(folder).catch(() => [] as string[]);
  const files = names.filter((name) => name.endsWith('.jinja')).sort();
  if (own === undefined && files.length === 0) return config;
  const { chat_template: given } = config;
  const template = own ?? (typeof given === 'string' ? given : undefined);
  const most = template === undefined ? mostTemplates : mostTemplates - 1;
  if (files.length > most) {
    const beside = template === undefined ? '' : ' beside the default';
    throw new TesseraError(
      'CHECKPOINT_INVALID',
      `${folder}: has ${files.length} templates; at most ${most} are taken${beside}`,
    );
  }
  const named = await Promise.all(
    files.map(async (file) => ({
      name: file.slice(0, -'.jinja'.length),
      template: await templateOf(join(folder, file)),
    })),
  );
  if (named.length === 0) return { ...config, chat_template: own };
  return { ...config, chat_template: [...(template === undefined ? [] : [{ name: 'default', template }]), ...named] };
}

async function templateOf(path: string): Promise<string | undefined> {
  return (await boundedFile(path, longestSource))?.toString('utf8');
}

/** A file as it is; undefined where there is none. */
async function boundedFile(path: string, most: number): Promise<Buffer | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  if (found.size > most) throw new TesseraError('CHECKPOINT_INVALID', `${path}: is larger than ${most} bytes`);
  return readFile(path).catch((cause: unknown) => {
    throw new TesseraError('CHECKPOINT_INVALID', `${path}: cannot be read`, { cause });
  });
}

/** A JSON file that must hold an object; undefined where there is none. */
async function objectOf(dir: string, name: string): Promise<Record<string, unknown> | undefined> {
  const value = await readJson(dir, name);
  if (value === undefined) return undefined;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new TesseraError('CHECKPOINT_INVALID', `${join(dir, name)}: is not a JSON object`);
}
