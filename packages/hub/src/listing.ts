import { listFiles, modelInfo } from '@huggingface/hub';
import { TesseraError } from '@tessera/protocol';
import type { HubClient } from './hub-client.js';
import { notAHub } from './hub-errors.js';
import { isSafePath } from './model-id.js';

/** How the hub names a file's content: SHA-256 of large files (LFS), the SHA-1 of git's blob of the others. */
export interface ContentHash {
  readonly algorithm: 'sha256' | 'git-sha1';
  /** Lower-case hex; also the blob's name in the cache. */
  readonly hex: string;
}

export interface HubFile {
  /** From the repository's root on. */
  readonly path: string;
  readonly bytes: number;
  readonly hash: ContentHash;
}

/** Repositories of many checkpoints have some thousand files in a folder. */
const maxEntries = 20_000;

/**
 * The commit that a revision is now.
 * @throws TesseraError as HubClient.fetchJson
 */
export async function commitOf(client: HubClient): Promise<string> {
  const { endpoint, id } = client.options;
  const { sha } = await asking(client, () =>
    modelInfo({
      name: id.repository,
      revision: id.revision,
      additionalFields: ['sha'],
      hubUrl: endpoint,
      fetch: client.fetchJson,
    }),
  );
  if (!/^[0-9a-f]{40}$/.test(sha ?? '')) throw notAHub(endpoint, `it names "${sha}" as a commit`);
  return sha as string;
}

/**
 * The files of one folder of a commit, without those below it.
 * @throws TesseraError as HubClient.fetchJson; CHECKPOINT_INVALID naming an entry that no honest listing has
 */
export async function filesOf(client: HubClient, commit: string, folder: string): Promise<HubFile[]> {
  const { endpoint, id } = client.options;
  return asking(client, async () => {
    const files: HubFile[] = [];
    let entries = 0;
    const listing = listFiles({
      repo: { type: 'model', name: id.repository },
      revision: commit,
      path: folder === '' ? undefined : folder,
      hubUrl: endpoint,
      fetch: client.fetchJson,
    });
    for await (const entry of listing) {
      if (++entries > maxEntries) throw refused(client, `more than ${maxEntries} files in a folder`);
      if (typeof entry.path !== 'string' || !isSafePath(entry.path)) {
        throw refused(client, `a file named ${JSON.stringify(entry.path)}, which is no path inside it`);
      }
      if (entry.type === 'file') files.push(fileOf(client, entry));
    }
    return files;
  });
}

function fileOf(
  client: HubClient,
  entry: { path: string; size: number; oid?: string; lfs?: { oid: string; size: number } },
): HubFile {
  const { path, lfs } = entry;
  const bytes = lfs?.size ?? entry.size;
  const hex = String(lfs?.oid ?? entry.oid).replace(/^sha256:/, '');
  const algorithm = lfs === undefined ? 'git-sha1' : 'sha256';
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw refused(client, `${path} of ${bytes} bytes`);
  if (!(algorithm === 'sha256' ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(hex)) {
    throw refused(client, `${path} without a hash to check it by`);
  }
  return { path, bytes, hash: { algorithm, hex } };
}

function refused(client: HubClient, what: string): TesseraError {
  const { id } = client.options;
  return new TesseraError('CHECKPOINT_INVALID', `${id.repository}@${id.revision} lists ${what}`);
}

/** What the library makes of an answer that it cannot read is no fault of ours. */
async function asking<T>(client: HubClient, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    client.options.signal?.throwIfAborted();
    if (cause instanceof TesseraError) throw cause;
    throw notAHub(client.options.endpoint, cause instanceof Error ? cause.message : String(cause), cause);
  }
}
