import { listFiles, modelInfo } from '@huggingface/hub';
import { TesseraError } from '@tessera/protocol';
import type { HubClient } from './hub-client.js';
import { notAHub } from './hub-errors.js';
import { isCommit, isSafePath } from './model-id.js';

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

/** What is in one folder, without what is below it. */
export interface Listing<F extends { readonly path: string } = HubFile> {
  readonly files: readonly F[];
  /** From the repository's root on. */
  readonly folders: readonly string[];
}

/** Repositories of many checkpoints have some thousand files in a folder. */
const maxEntries = 20_000;
/** A page has 50 entries and more; one that has none may lead to itself. */
const maxPages = 500;

/**
 * The commit that a revision is now.
 * @throws TesseraError as HubClient.fetchJson; CONFIG_INVALID where another commit comes than the one that is asked for
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
  if (!isCommit(sha ?? '')) throw notAHub(endpoint, `it names "${sha}" as a commit`);
  if (isCommit(id.revision) && sha !== id.revision) throw notAHub(endpoint, `it gives ${sha} for ${id.revision}`);
  return sha as string;
}

/**
 * What one folder of a commit has, without what is below it.
 * @throws TesseraError as HubClient.fetchJson; CHECKPOINT_INVALID naming an entry that no honest listing has
 */
export async function filesOf(client: HubClient, commit: string, folder: string): Promise<Listing> {
  const { endpoint, id } = client.options;
  return asking(client, async () => {
    const files: HubFile[] = [];
    const folders: string[] = [];
    let entries = 0;
    let pages = 0;
    const listing = listFiles({
      repo: { type: 'model', name: id.repository },
      revision: commit,
      path: folder === '' ? undefined : folder,
      hubUrl: endpoint,
      fetch: (input: string | URL | Request): Promise<Response> => {
        if (++pages > maxPages) throw refused(client, `more than ${maxPages} pages of a folder`);
        return client.fetchJson(input);
      },
    });
    for await (const entry of listing) {
      if (++entries > maxEntries) throw refused(client, `more than ${maxEntries} files in a folder`);
      if (typeof entry.path !== 'string' || !isSafePath(entry.path)) {
        throw refused(client, `a file named ${JSON.stringify(entry.path)}, which is no path inside it`);
      }
      if (entry.type === 'file') files.push(fileOf(client, entry));
      if (entry.type === 'directory') folders.push(entry.path);
    }
    return { files, folders };
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
  if (!isSize(bytes)) throw refused(client, `${path} of ${bytes} bytes`);
  if (contentHash(hex)?.algorithm !== algorithm) throw refused(client, `${path} without a hash to check it by`);
  return { path, bytes, hash: { algorithm, hex } };
}

export const isSize = (bytes: unknown): bytes is number => Number.isSafeInteger(bytes) && Number(bytes) >= 0;

/** The hash that a blob's name is; undefined for what is none. */
export function contentHash(hex: unknown): ContentHash | undefined {
  if (typeof hex !== 'string' || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hex)) return undefined;
  return { algorithm: hex.length === 64 ? 'sha256' : 'git-sha1', hex };
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
