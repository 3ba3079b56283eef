import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { weightFiles } from './checkpoint/checkpoint.js';
import type { Cut } from './cut.js';
import type { WeightPrecision } from './graph/index.js';
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
const compilerVersion = 7;

/** Configuration that a bundle is made from; copied files among it. */
const configFiles = [
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

export async function fileDigest(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash, { signal });
  return hash.digest('hex');
}

/**
 * SHA-256 (hex) of everything that decides a bundle's content: the compiler, how weights are held, and the checkpoint's
 * files. `digestOf` lets a caller remember the digests of large files.
 */
export async function contentDigest(
  dir: string,
  weights: WeightPrecision,
  digestOf: (path: string) => Promise<string>,
  cut?: Cut,
): Promise<string> {
  const variant = cut === undefined ? weights : `${weights} ${cut}`;
  const hash = createHash('sha256').update(`tessera bundle ${compilerVersion} ${variant}\n`);
  const large = await weightFiles(dir);
  const present = new Set(await readdir(dir));
  const templates = (await readdir(join(dir, chatTemplateFolder)).catch(() => [])).sort();
  const small = [
    ...configFiles.filter((file) => present.has(file)),
    ...templates.map((name) => join(chatTemplateFolder, name)),
  ];
  for (const name of [...small, ...large]) {
    hash.update(`${name} ${await digestOf(join(dir, name))}\n`);
  }
  return hash.digest('hex');
}
