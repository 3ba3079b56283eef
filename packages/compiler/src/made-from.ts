import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Bundle, KvCacheType } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import { compilerVersion, contentDigest } from './content-digest.js';
import type { Cut } from './cut.js';
import { DigestMemo } from './digest-memo.js';
import { decideWeights, requireModel, type WantedWeights } from './open-model.js';

/** These lie in a bundle's folder and not in its manifest: no service reads them. */
const idsFile = 'made-from.json';
const digestsFile = 'checkpoint-digests.json';

const madeFrom = z.object({ ids: z.array(z.string()), weights: z.string(), compiler: z.number() });

/** What a bundle is to be, to be kept. */
export interface WantedBundle {
  readonly weights: WantedWeights;
  readonly cut?: Cut;
  readonly kvCache?: KvCacheType;
  readonly signal?: AbortSignal;
}

/** Says in a bundle's folder which ids of a hub's model mean what it was made from. */
export async function writeIds(dir: string, ids: readonly string[], weights: WantedWeights): Promise<void> {
  const record: z.input<typeof madeFrom> = { ids: [...ids], weights, compiler: compilerVersion };
  await writeFile(join(dir, idsFile), `${JSON.stringify(record)}\n`);
}

/** The memo of the checkpoint's digests that lies in a bundle's folder: comparing again reads nothing that has not changed. */
export function checkpointDigests(dir: string): Promise<DigestMemo> {
  return DigestMemo.open(join(dir, digestsFile));
}

/**
 * Nobody is asked: not what a branch is now, nor whether the model is still there.
 * @param id ORG/NAME@REVISION, with :FILE where one is named
 * @throws TesseraError REQUEST_INVALID where the bundle was made from another model, or otherwise
 */
export async function requireMadeFromId({ dir, manifest }: Bundle, id: string, wanted: WantedBundle): Promise<void> {
  const found = await readFile(join(dir, idsFile), 'utf8').catch(() => undefined);
  if (found === undefined) throw otherwise(dir, `that does not say whether it was made from ${id}`);
  let record: z.output<typeof madeFrom>;
  try {
    record = madeFrom.parse(JSON.parse(found));
  } catch {
    throw otherwise(dir, `whose ${idsFile} is damaged`);
  }
  // What `auto` comes to is known of a checkpoint that is here; of one that is not, it must have been asked for so.
  const made = wanted.weights === 'auto' ? record.weights : manifest.weights;
  if (made !== wanted.weights) throw otherwise(dir, `of weights ${made}, not ${wanted.weights}`);
  requireForm(dir, manifest, wanted);
  if (!record.ids.includes(id)) throw otherwise(dir, `of ${record.ids.at(-1)}, not of ${id}`);
  if (record.compiler !== compilerVersion) throw otherwise(dir, 'that another version of the compiler made');
}

/**
 * Reads what has changed of the checkpoint since it was compared last, by size and time.
 * @throws TesseraError REQUEST_INVALID where the bundle was made from other contents, or otherwise; CHECKPOINT_INVALID where no
 *   checkpoint is there
 */
export async function requireMadeFrom({ dir, manifest }: Bundle, model: string, wanted: WantedBundle): Promise<void> {
  const path = resolve(model);
  await requireModel(path);
  const weights = await decideWeights(path, wanted.weights);
  if (manifest.weights !== weights) throw otherwise(dir, `of weights ${manifest.weights}, not ${weights}`);
  requireForm(dir, manifest, wanted);
  const memo = await checkpointDigests(dir);
  const digest = await contentDigest(path, { ...wanted, weights }, (file) => memo.digest(file, wanted.signal));
  // A folder that is read only costs the time that the memo would have saved.
  await memo.save().catch(() => undefined);
  if (manifest.revision !== digest.slice(0, manifest.revision.length)) {
    throw otherwise(dir, `that was made from other files than ${path} has, or by another version of the compiler`);
  }
}

/** But for its weights. */
function requireForm(
  dir: string,
  { llm }: Bundle['manifest'],
  { cut: wanted, kvCache = 'float32' }: WantedBundle,
): void {
  const held = llm.kvCache ?? 'float32';
  if (held !== kvCache) throw otherwise(dir, `whose KV cache is ${held}, not ${kvCache}`);
  const pieces = llm.layerPieces?.pieces.length;
  const made = llm.experts !== undefined ? 'experts' : pieces === undefined ? undefined : `layers=${pieces}`;
  if (made === wanted) return;
  const words = (cut: string | undefined): string => (cut === undefined ? 'without --cut' : `with --cut ${cut}`);
  throw otherwise(dir, `that was made ${words(made)}, not ${words(wanted)}`);
}

function otherwise(dir: string, how: string): TesseraError {
  return new TesseraError('REQUEST_INVALID', `${dir} has a bundle ${how}; name another folder, or remove that one`);
}
