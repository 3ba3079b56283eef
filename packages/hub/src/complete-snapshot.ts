import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RepositoryCache } from './cache.js';
import { chooseFiles, filesOfIndex } from './choose-files.js';
import type { ModelId } from './model-id.js';
import type { PulledModel } from './pulled-model.js';

/**
 * A snapshot of the cache with all that a pull would choose of it, whoever put it there; undefined where something is missing.
 * Weights are put there last, and what they need is named by the files beside them, so that no listing is needed to know.
 */
export async function completeSnapshot(
  cache: RepositoryCache,
  id: ModelId,
  commit: string,
  wanted: readonly string[],
): Promise<PulledModel | undefined> {
  const dir = cache.snapshot(commit);
  try {
    const folder = id.file?.includes('/') ? id.file.slice(0, id.file.lastIndexOf('/') + 1) : '';
    const sizes = new Map<string, number>();
    for (const name of await readdir(join(dir, folder))) {
      // A link whose blob is gone is no file.
      const found = await stat(join(dir, folder, name)).catch(() => undefined);
      if (found?.isFile()) sizes.set(`${folder}${name}`, found.size);
    }
    const paths = [...sizes.keys()];
    const chosen = chooseFiles(id, paths, wanted);
    const files = chosen.kind === 'gguf' ? [...chosen.files] : [...chosen.small, ...chosen.weights];
    if (chosen.kind === 'safetensors') {
      if (!chosen.small.some((name) => /^tokenizer\.(json|model)$/.test(name))) return undefined;
      if (chosen.index !== undefined) {
        const index = await readFile(join(dir, chosen.index), 'utf8');
        files.push(chosen.index, ...filesOfIndex(id, index, paths));
      }
    }
    const bytes = files.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
    const path = chosen.kind === 'gguf' ? join(dir, chosen.files[0] as string) : dir;
    return { id, commit, dir, path, files, bytes, fetchedBytes: 0, from: 'cache' };
  } catch {
    return undefined;
  }
}
