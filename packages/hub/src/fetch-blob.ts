import type { Hash } from 'node:crypto';
import { constants, type FileHandle, open, rename } from 'node:fs/promises';
import { withFileLock } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { noRoom, removeQuietly, writing } from './cache.js';
import { hashFile, isRight, startHash } from './content-check.js';
import type { HubClient } from './hub-client.js';
import { notAHub } from './hub-errors.js';
import type { HubFile } from './listing.js';

/** Ours alone: another tool that goes on with its own part is not disturbed, nor are we. */
export const partSuffix = '.tessera.incomplete';

/** A part that is of other bytes is thrown away once; a hub that sends them again is not asked a third time. */
const maxMismatches = 2;

export interface BlobFetchOptions {
  /** Whether a blob that is there is read, too. */
  readonly verify: boolean;
  /** Told how many bytes came, or fewer than none where a part was thrown away. */
  onBytes(bytes: number): void;
  /** Told what takes long beside the work itself. */
  readonly onNote?: ((text: string) => void) | undefined;
}

/** One file on its way into the cache. */
export class BlobFetch {
  private readonly part: string;
  private hash: Hash | undefined;
  /** Bytes of the part, which `hash` has seen. */
  private done = 0;

  constructor(
    private readonly client: HubClient,
    private readonly commit: string,
    private readonly file: HubFile,
    private readonly blob: string,
    private readonly options: BlobFetchOptions,
  ) {
    this.part = `${blob}${partSuffix}`;
  }

  /**
   * Fetches what is missing of the file and puts it in its place when its hash is right. Processes that ask at once fetch once.
   * What came before a failure or a signal stays, and the next run goes on behind it.
   * @returns the bytes that were fetched; 0 where another process has
   * @throws TesseraError CHECKPOINT_INVALID where what comes is not what the listing says; as HubClient.get
   */
  async run(): Promise<number> {
    const { signal } = this.client.options;
    const { verify, onBytes, onNote } = this.options;
    let fetched = 0;
    const fetchOnce = async (): Promise<void> => {
      if (await isRight(this.blob, this.file, verify, { signal })) return onBytes(this.file.bytes);
      // Whoever puts a blob there has this lock: what is wrong now is nobody's new one.
      await removeQuietly(this.blob);
      fetched = await this.fetch();
    };
    await writing(this.part, () =>
      withFileLock(`${this.part}.lock`, signal, fetchOnce, (path, holder) =>
        onNote?.(`waiting for ${holder}, which fetches ${this.file.path} and holds ${path}`),
      ),
    );
    return fetched;
  }

  private async fetch(): Promise<number> {
    const handle = await open(this.part, constants.O_RDWR | constants.O_CREAT, 0o644);
    try {
      const from = await this.begin(handle);
      for (let mismatches = 1; ; mismatches++) {
        await this.receive(handle);
        const found = (this.hash as Hash).digest('hex');
        if (found === this.file.hash.hex) break;
        await this.startAgain(handle);
        if (mismatches < maxMismatches) continue;
        await removeQuietly(this.part);
        throw this.wrong(`its ${this.file.hash.algorithm} is ${found}, not ${this.file.hash.hex}`);
      }
      await handle.sync();
      // What was hashed is what came; what is kept must be all of it.
      const { size } = await handle.stat();
      if (size !== this.file.bytes) {
        throw noRoom(this.part, `${size} of ${this.file.bytes} bytes were kept`);
      }
      await rename(this.part, this.blob);
      return this.file.bytes - from;
    } finally {
      await handle.close();
    }
  }

  /** Takes up what an earlier run has left; returns its bytes. */
  private async begin(handle: FileHandle): Promise<number> {
    const { size } = await handle.stat();
    this.hash = startHash(this.file);
    if (size > this.file.bytes) {
      await handle.truncate(0);
      return 0;
    }
    const { signal } = this.client.options;
    await hashFile(this.hash, this.part, size, { signal, onRead: (bytes) => this.options.onBytes(bytes) });
    this.done = size;
    return size;
  }

  private async startAgain(handle: FileHandle): Promise<void> {
    this.options.onBytes(-this.done);
    this.done = 0;
    this.hash = startHash(this.file);
    await handle.truncate(0);
  }

  /** Until all bytes are there, whatever is cut between. Failures count anew after each that got further than any before. */
  private async receive(handle: FileHandle): Promise<void> {
    let furthest = this.done;
    for (let failures = 1; this.done < this.file.bytes; failures++) {
      try {
        await this.receiveOnce(handle);
      } catch (reason) {
        if (this.done > furthest) failures = 1;
        furthest = Math.max(furthest, this.done);
        await this.client.pauseAfter(reason, failures);
      }
    }
  }

  private async receiveOnce(handle: FileHandle): Promise<void> {
    const { endpoint, id } = this.client.options;
    const path = this.file.path.split('/').map(encodeURIComponent).join('/');
    const range = this.done > 0 ? { range: `bytes=${this.done}-` } : undefined;
    using answer = await this.client.get(`${endpoint}/${id.repository}/resolve/${this.commit}/${path}`, range);
    this.checkHubHeaders(answer.hubHeaders);
    this.checkAnswer(answer.status, answer.headers);
    // A server that knows no ranges sends all of it again; what there is goes when the first of it comes, and not for less.
    let isAnew = answer.status !== 206 && this.done > 0;
    for await (const part of answer.body()) {
      if (isAnew) await this.startAgain(handle);
      isAnew = false;
      if (this.done + part.length > this.file.bytes) throw this.wrong(`more than ${this.file.bytes} bytes come`);
      await this.write(handle, part);
      this.hash?.update(part);
      this.done += part.length;
      this.options.onBytes(part.length);
    }
    if (this.done < this.file.bytes) {
      throw new TesseraError(
        'HUB_UNAVAILABLE',
        `${this.file.path} ended after ${this.done} of ${this.file.bytes} bytes`,
      );
    }
  }

  /** All of it: a disk that is nearly full takes less than it is given, and says no more than how much. */
  private async write(handle: FileHandle, part: Uint8Array): Promise<void> {
    for (let from = 0; from < part.length; ) {
      const { bytesWritten } = await handle.write(part, from, part.length - from, this.done + from);
      if (bytesWritten === 0) throw noRoom(this.part, 'the disk takes no more');
      from += bytesWritten;
    }
  }

  /** The hub says before a byte is sent what it is going to send. */
  private checkHubHeaders(headers: Headers): void {
    const { hash, bytes } = this.file;
    const linked = headers.get('x-linked-etag')?.replace(/^(W\/)?"?|"$/g, '');
    if (linked !== undefined && linked !== hash.hex) throw this.wrong(`the hub offers ${linked}, not ${hash.hex}`);
    const size = headers.get('x-linked-size');
    if (size !== null && Number(size) !== bytes) throw this.wrong(`the hub offers ${size} bytes, not ${bytes}`);
    const commit = headers.get('x-repo-commit');
    if (commit !== null && commit !== this.commit) throw this.wrong(`the hub offers it of commit ${commit}`);
  }

  private checkAnswer(status: number, headers: Headers): void {
    const { bytes } = this.file;
    if (status === 206) {
      const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '') ?? [];
      if (Number(first) !== this.done)
        throw notAHub(this.client.options.endpoint, `not the range that was asked of ${this.file.path}`);
      if (Number(total) !== bytes) throw this.wrong(`it has ${total} bytes there, not ${bytes}`);
      return;
    }
    const { endpoint } = this.client.options;
    if (status !== 200) throw notAHub(endpoint, `status ${status} for ${this.file.path}`);
    const length = headers.get('content-length');
    // Of a page that a proxy puts in the file's place the length may not be told.
    if (length === null && this.done > 0 && /^text\/html\b/i.test(headers.get('content-type') ?? '')) {
      throw notAHub(endpoint, `a page of HTML in place of ${this.file.path}`);
    }
    if (length !== null && Number(length) !== bytes) throw this.wrong(`it has ${length} bytes there, not ${bytes}`);
  }

  private wrong(what: string): TesseraError {
    const { id } = this.client.options;
    const name = `${id.repository}@${id.revision}: ${this.file.path}`;
    return new TesseraError('CHECKPOINT_INVALID', `${name}: what comes is not what the hub lists: ${what}`);
  }
}
