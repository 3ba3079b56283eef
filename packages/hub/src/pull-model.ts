import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mapOrdered } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { isCopy, RepositoryCache, sizeOf } from './cache.js';
import { type ChosenFiles, chooseFiles, filesInQuestion, filesOfIndex } from './choose-files.js';
import { type CompleteSnapshot, completeSnapshot } from './complete-snapshot.js';
import { isRight } from './content-check.js';
import { BlobFetch, partSuffix } from './fetch-blob.js';
import { HubClient } from './hub-client.js';
import { keepListing } from './kept-listing.js';
import { commitOf, filesOf, type HubFile, type Listing } from './listing.js';
import { isCommit, type ModelId } from './model-id.js';
import type { PulledModel } from './pulled-model.js';
import { type HubSurroundings, hubSurroundings } from './surroundings.js';

interface PullProgress {
  readonly doneBytes: number;
  /** Of all files that are known to be needed. */
  readonly totalBytes: number;
  /** The one that bytes came of last. */
  readonly file: string;
}

export interface PullOptions {
  /** Small files that are needed beside weights in safetensors where the repository has them: config.json, FOLDER/*.END. */
  readonly wanted: readonly string[];
  /** By default those of the process's environment. */
  readonly surroundings?: HubSurroundings;
  /** How long a server may be silent; it goes before what the surroundings say. There is no deadline on the whole. */
  readonly timeoutMs?: number;
  /** Failures in a row that are tried again; one that got further does not count. */
  readonly retries?: number;
  /** Whether files of weights in safetensors are left out, for who only asks what a model is. */
  readonly withoutWeights?: boolean;
  /** Whether what is in the cache already is compared with its hash, too. */
  readonly verify?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
  readonly onNote?: (text: string) => void;
}

const defaultRetries = 5;

/** Hubs bound how fast one connection is, and how many requests one address may send. */
const filesAtOnce = 4;

/**
 * Brings what is needed of a model into the cache that Hugging Face's tools share, each file checked by its hash.
 * A snapshot that is complete is used without the hub where it is named by its commit and a listing of it was kept, or the hub
 * cannot be asked.
 * @throws TesseraError HUB_UNAVAILABLE, HUB_DENIED, HUB_NOT_FOUND; CHECKPOINT_INVALID where there is nothing to be read, or what
 *   comes is not what is listed; CONFIG_INVALID on a wrong variable or a folder that cannot be
 *   written; STORAGE_FULL
 */
export async function pullModel(id: ModelId, options: PullOptions): Promise<PulledModel> {
  const surroundings = options.surroundings ?? (await hubSurroundings());
  const cache = new RepositoryCache(surroundings.cacheDir, id.repository);
  const known = await cache.commitOf(id.revision);
  const found = known === undefined ? undefined : await completeSnapshot(cache, id, known, options);
  if (surroundings.offline) {
    if (found !== undefined) return withoutHub(found, options);
    throw new TesseraError(
      'HUB_UNAVAILABLE',
      `${id.repository}@${id.revision} is not complete in ${cache.dir}, and HF_HUB_OFFLINE is set`,
    );
  }
  if (found?.isListed && isCommit(id.revision) && options.verify !== true) return found.model;
  try {
    return await new Pull(cache, id, surroundings, options).run();
  } catch (reason) {
    if (found === undefined || !(reason instanceof TesseraError) || reason.code !== 'HUB_UNAVAILABLE') throw reason;
    options.onNote?.(
      `${reason.message}; the snapshot of ${id.repository} that is there is used (${found.model.commit.slice(0, 12)})`,
    );
    return withoutHub(found, options);
  }
}

/** What is there, as far as it can be trusted when nobody can be asked. */
async function withoutHub(
  { model, files, isListed, kind }: CompleteSnapshot,
  { verify, signal, onNote, onProgress }: PullOptions,
): Promise<PulledModel> {
  const { id, dir, bytes: totalBytes } = model;
  let doneBytes = 0;
  if (!isListed && kind === 'gguf' && id.file === undefined) {
    onNote?.(`${model.files[0]} is taken, which is there; what else ${id.repository} has is not known without the hub`);
  }
  for (const { path, bytes, hash } of verify === true ? files : []) {
    if (hash === undefined) {
      throw new TesseraError(
        'HUB_UNAVAILABLE',
        `${join(dir, path)} is no link to a blob, so that its hash is not known`,
      );
    }
    const onRead = (read: number): void => {
      doneBytes += read;
      onProgress?.({ doneBytes, totalBytes, file: path });
    };
    if (await isRight(join(dir, path), { bytes, hash }, true, { signal, onRead })) continue;
    throw new TesseraError(
      'CHECKPOINT_INVALID',
      `${join(dir, path)} is damaged: its ${hash.algorithm} is not ${hash.hex}; a pull that verifies and can ask the hub fetches it again`,
    );
  }
  return model;
}

class Pull {
  private readonly client: HubClient;
  private readonly signal: AbortSignal;
  private doneBytes = 0;
  private totalBytes = 0;
  private fetchedBytes = 0;

  constructor(
    private readonly cache: RepositoryCache,
    private readonly id: ModelId,
    { endpoint, token, timeoutMs }: HubSurroundings,
    private readonly options: PullOptions,
  ) {
    const { retries = defaultRetries, signal, onNote } = options;
    this.signal = signal ?? new AbortController().signal;
    this.client = new HubClient({
      endpoint,
      id,
      token,
      hasToken: token !== undefined,
      timeoutMs: options.timeoutMs ?? timeoutMs,
      retries,
      signal,
      onRetry: ({ message }, pauseMs) => onNote?.(`${message}; trying again in ${(pauseMs / 1000).toFixed(1)} s`),
    });
  }

  async run(): Promise<PulledModel> {
    const { id, cache } = this;
    const commit = await commitOf(this.client);
    const { wanted, withoutWeights } = this.options;
    const listings = new Map<string, Listing>();
    const listing = (await filesInQuestion(id, wanted, async (folder) => {
      const found = await filesOf(this.client, commit, folder);
      listings.set(folder, found);
      return found;
    })) as ReadonlyMap<string, HubFile>;
    const paths = [...listing.keys()];
    const chosen = chooseFiles(id, paths, wanted);
    await cache.create();
    for (const [folder, found] of listings) await keepListing(cache, commit, folder, found);
    const take = async (names: readonly string[]): Promise<string[]> => {
      await this.fetchAll(
        commit,
        names.map((name) => listing.get(name) as HubFile),
      );
      return [...names];
    };
    const files = await this.takeChosen(chosen, commit, paths, take);
    // What other tools find by the branch's name is whole.
    if (withoutWeights !== true || chosen.kind === 'gguf') await cache.keepRef(id.revision, commit);
    const dir = cache.snapshot(commit);
    return {
      id,
      commit,
      dir,
      path: chosen.kind === 'gguf' ? join(dir, chosen.files[0] as string) : dir,
      files,
      bytes: this.totalBytes,
      fetchedBytes: this.fetchedBytes,
      from: 'hub',
    };
  }

  /** Weights come last: a snapshot that has them is complete. */
  private async takeChosen(
    chosen: ChosenFiles,
    commit: string,
    paths: readonly string[],
    take: (names: readonly string[]) => Promise<string[]>,
  ): Promise<string[]> {
    if (chosen.kind === 'gguf') {
      const { files, others } = chosen;
      if (others.length > 0 && this.id.file === undefined) {
        this.options.onNote?.(
          `of ${others.length + 1} GGUF models ${files[0]} is taken; another is named behind a colon, such as :${others[0]}`,
        );
      }
      return take(files);
    }
    const small = await take([...chosen.small, ...(chosen.index === undefined ? [] : [chosen.index])]);
    if (this.options.withoutWeights === true) return small;
    if (chosen.index === undefined) return [...small, ...(await take(chosen.weights))];
    const index = await readFile(join(this.cache.snapshot(commit), chosen.index), 'utf8');
    return [...small, ...(await take(filesOfIndex(this.id, index, paths)))];
  }

  private async fetchAll(commit: string, files: readonly HubFile[]): Promise<void> {
    this.totalBytes += sumOf(files);
    const missing: HubFile[] = [];
    let toCome = 0;
    for (const file of files) {
      if (await this.isThere(file)) continue;
      missing.push(file);
      toCome += file.bytes - ((await sizeOf(`${this.cache.blob(file.hash)}${partSuffix}`)) ?? 0);
    }
    const unlinked: HubFile[] = [];
    for (const file of files) if (!(await this.isLinked(commit, file))) unlinked.push(file);
    if (unlinked.length > 0 && !(await this.cache.hasLinks())) toCome += sumOf(unlinked);
    await this.cache.requireRoom(toCome);
    const fetches: Promise<void>[] = [];
    const results = mapOrdered(missing, filesAtOnce, this.signal, (file, signal) => {
      const fetching = this.fetchOne(commit, file, signal);
      fetches.push(fetching);
      return fetching;
    });
    try {
      for await (const _ of results);
    } finally {
      // Those that another's failure ends let go of their parts first.
      await Promise.allSettled(fetches);
    }
    for (const { path, hash } of unlinked) await this.cache.link(commit, path, hash);
  }

  private async fetchOne(commit: string, file: HubFile, signal: AbortSignal): Promise<void> {
    const client = new HubClient({ ...this.client.options, signal });
    const { verify, options } = this;
    const onBytes = (bytes: number): void => this.count(bytes, file.path);
    const blob = this.cache.blob(file.hash);
    const fetch = new BlobFetch(client, commit, file, blob, { verify, onBytes, onNote: options.onNote });
    // Others come meanwhile, so the sum is read only when this one is there.
    const fetched = await fetch.run();
    this.fetchedBytes += fetched;
  }

  private get verify(): boolean {
    return this.options.verify === true;
  }

  private async isThere(file: HubFile): Promise<boolean> {
    const blob = this.cache.blob(file.hash);
    let counted = 0;
    const onRead = (bytes: number): void => {
      counted += bytes;
      this.count(bytes, file.path);
    };
    const isThere = await isRight(blob, file, this.verify, { signal: this.signal, onRead });
    this.count((isThere ? file.bytes : 0) - counted, file.path);
    if (isThere) return true;
    if ((await sizeOf(blob)) !== undefined) {
      this.options.onNote?.(`${file.path} in the cache is damaged; it is fetched again`);
    }
    return false;
  }

  /** Of a copy, which is what is read, the content is looked at as that of its blob is. */
  private async isLinked(commit: string, file: HubFile): Promise<boolean> {
    if (!(await this.cache.isLinked(commit, file))) return false;
    const at = join(this.cache.snapshot(commit), file.path);
    return !this.verify || !(await isCopy(at)) || (await isRight(at, file, true, { signal: this.signal }));
  }

  private count(bytes: number, file: string): void {
    this.doneBytes += bytes;
    this.options.onProgress?.({ doneBytes: this.doneBytes, totalBytes: this.totalBytes, file });
  }
}

const sumOf = (files: readonly HubFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
