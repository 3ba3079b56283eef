import { createHash } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import { type BundleForm, wordsOfForm } from './bundle-form.js';
import { weightFiles } from './checkpoint/checkpoint.js';
import { splitFiles } from './gguf/split-files.js';
import { isModelFile } from './open-model.js';
import {
  addedTokensFile,
  chatTemplateFile,
  chatTemplateFolder,
  sentencePieceFile,
  specialTokensFile,
} from './tokenizer-files.js';

/**
 * Raised whenever the same checkpoint would compile to something else, or is refused now: a bundle from before would be
 * served in its place. `npm run check` asks at every change of the compiler.
 */
export const compilerVersion = 8;

/** Files that a bundle is made from besides the weights; copied ones among them. */
export const checkpointFiles: readonly string[] = [
  addedTokensFile,
  chatTemplateFile,
  'config.json',
  'generation_config.json',
  'model.safetensors.index.json',
  'preprocessor_config.json',
  specialTokensFile,
  'tokenizer.json',
  sentencePieceFile,
  'tokenizer_config.json',
];

/** What is read at once of a file that is hashed. */
const digestBytes = 1024 * 1024;

export async function fileDigest(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path, 'r');
  try {
    // One buffer throughout: a stream makes another for each part, a fifth more of processor time.
    const buffer = new Uint8Array(digestBytes);
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/**
 * SHA-256 (hex) of everything that decides a bundle's content: the compiler, what is made of it, and the checkpoint's
 * files. `digestOf` lets a caller remember the digests of large files.
 * @throws TesseraError CHECKPOINT_INVALID naming a file that cannot be read
 */
export async function contentDigest(
  path: string,
  form: BundleForm,
  digestOf: (path: string) => Promise<string>,
): Promise<string> {
  const hash = createHash('sha256').update(`tessera bundle ${compilerVersion} ${wordsOfForm(form).join(' ')}\n`);
  for (const { name, file } of (await isModelFile(path)) ? ggufFiles(path) : await folderFiles(path)) {
    hash.update(`${name} ${await digestOf(file).catch((error: unknown) => unreadable(file, error))}\n`);
  }
  return hash.digest('hex');
}

/** What the system says of a file becomes an error of the checkpoint; all else is thrown as it is. */
function unreadable(file: string, error: unknown): never {
  if (!(error instanceof Error && 'syscall' in error)) throw error;
  throw new TesseraError('CHECKPOINT_INVALID', `${file}: cannot be read: ${error.message}`, { cause: error });
}

interface DigestedFile {
  /** What tells it from the model's other files. */
  readonly name: string;
  readonly file: string;
}

async function folderFiles(dir: string): Promise<DigestedFile[]> {
  const large = await weightFiles(dir);
  const present = new Set(await readdir(dir));
  const beside = await readdir(join(dir, chatTemplateFolder)).catch(() => [] as string[]);
  const templates = beside.filter((name) => name.endsWith('.jinja')).sort();
  const small = [
    ...checkpointFiles.filter((file) => present.has(file)),
    ...templates.map((name) => join(chatTemplateFolder, name)),
  ];
  const names = [...small, ...large];
  return names.map((name) => ({ name, file: join(dir, name) }));
}

/** All is in the file, or in files that follow each other: what they are called makes no other model. */
const ggufFiles = (path: string): DigestedFile[] =>
  splitFiles(path).map((file, index) => ({ name: `gguf ${index}`, file }));
