import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type RepositoryCache, sizeOf } from './cache.js';
import { type ChosenFiles, chooseFiles, filesInQuestion, filesOfIndex } from './choose-files.js';
import { keptListing } from './kept-listing.js';
import { type ContentHash, contentHash, type Listing } from './listing.js';
import type { ModelId } from './model-id.js';
import type { PulledModel } from './pulled-model.js';

interface SnapshotFile {
  readonly path: string;
  readonly bytes: number;
  /** Unknown of a copy that no listing names. */
  readonly hash?: ContentHash;
}

export interface CompleteSnapshot {
  readonly model: PulledModel;
  readonly files: readonly SnapshotFile[];
  /** Whether a listing says so. Else what is there fits together, as another tool has left it; more may belong to it. */
  readonly isListed: boolean;
  readonly kind: ChosenFiles['kind'];
}

/**
 * A snapshot of the cache with all that a pull would choose of it, by the listing that was kept of its commit; without one by
 * the files beside the weights, which name what they need. Undefined where something is missing.
 */
export async function completeSnapshot(
  cache: RepositoryCache,
  id: ModelId,
  commit: string,
  { wanted, withoutWeights = false }: { readonly wanted: readonly string[]; readonly withoutWeights?: boolean },
): Promise<CompleteSnapshot | undefined> {
  const dir = cache.snapshot(commit);
  try {
    const kept = await filesInQuestion<SnapshotFile>(id, wanted, (folder) => keptListing(cache, commit, folder));
    const isListed = kept !== undefined;
    const known = kept ?? (await filesInQuestion(id, wanted, (folder) => filesThere(dir, folder))) ?? new Map();
    const paths = [...known.keys()];
    const chosen = chooseFiles(id, paths, wanted);
    if (!isListed && !fitsTogether(chosen)) return undefined;
    const files: SnapshotFile[] = [];
    const areThere = async (names: readonly string[]): Promise<boolean> => {
      for (const name of names) {
        const file = known.get(name) as SnapshotFile;
        if ((await sizeOf(join(dir, name))) !== file.bytes) return false;
        files.push(file);
      }
      return true;
    };
    if (chosen.kind === 'gguf') {
      if (!(await areThere(chosen.files))) return undefined;
    } else {
      const { small, index, weights } = chosen;
      if (!(await areThere(index === undefined ? small : [...small, index]))) return undefined;
      if (!isListed || !withoutWeights) {
        const text = index === undefined ? undefined : await readFile(join(dir, index), 'utf8');
        if (!(await areThere(text === undefined ? weights : filesOfIndex(id, text, paths)))) return undefined;
      }
    }
    const names = files.map(({ path }) => path);
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const path = chosen.kind === 'gguf' ? join(dir, names[0] as string) : dir;
    const model: PulledModel = { id, commit, dir, path, files: names, bytes, fetchedBytes: 0, from: 'cache' };
    return { model, files, isListed, kind: chosen.kind };
  } catch {
    return undefined;
  }
}

/** Of weights in several files an index names all; without it, those that are there may be the first of more. */
function fitsTogether(chosen: ChosenFiles): boolean {
  if (chosen.kind === 'gguf') return true;
  const { small, index, weights } = chosen;
  if (!small.some((name) => /^tokenizer\.(json|model)$/.test(name))) return false;
  return index !== undefined || !weights.some((name) => /-\d{5}-of-\d{5}\.safetensors$/.test(name));
}

/** What a folder of the snapshot has; blobs are called by their hashes. */
async function filesThere(dir: string, folder: string): Promise<Listing<SnapshotFile>> {
  const files: SnapshotFile[] = [];
  const folders: string[] = [];
  for (const name of await readdir(join(dir, folder))) {
    const at = join(dir, folder, name);
    const path = folder === '' ? name : `${folder}/${name}`;
    // A link whose blob is gone is no file.
    const found = await stat(at).catch(() => undefined);
    if (found?.isDirectory()) folders.push(path);
    if (!found?.isFile()) continue;
    files.push({ path, bytes: found.size, hash: contentHash(basename(await readlink(at).catch(() => ''))) });
  }
  return { files, folders };
}
