import { createHash, randomBytes } from 'node:crypto';
import type { StoredMsg } from '@nats-io/jetstream';
import { abortable, linkedAbort } from '@tessera/flow';
import { type Modality, TesseraError, UploadHead, uploads } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';
import type { Publisher, PublishOptions } from '../streams/publisher.js';

/** A media item that a caller uploads. */
export interface Upload {
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, hex. */
  readonly digest: string;
  readonly modality: Modality;
  /** Such as image/png. */
  readonly mimeType: string;
}

/** An upload as it was found. */
export interface FoundUpload extends Pick<Upload, 'modality' | 'mimeType'> {
  readonly size: number;
  /** When it goes, Unix ms. */
  readonly expiresAtMs: number;
  /** @throws TesseraError STAGE_UNAVAILABLE (retryable) when NATS is away; MEDIA_MISSING when it went meanwhile */
  read(signal: AbortSignal): Promise<Uint8Array>;
}

/** The head of an upload, or one of its parts. */
type Piece = 'head' | { readonly partBytes: number; readonly index: number };

const never = linkedAbort().signal;

/**
 * Media that callers uploaded, on streams of their own for as long as `uploadMs`: named by what they are, so that any
 * gateway finds them, and an upload that comes again takes the place of the one before.
 */
export class UploadStore {
  constructor(
    private readonly connection: BusConnection,
    private readonly publisher: Publisher,
  ) {}

  /**
   * Stores an upload; waits a while where the stream is full.
   * @returns until when it may be named, Unix ms
   * @throws TesseraError MEDIA_TOO_LARGE when it could never fit; QUEUE_FULL, DEADLINE_EXCEEDED, CANCELLED
   */
  async put(upload: Upload, options: PublishOptions): Promise<number> {
    const { limits } = this.connection;
    const { bytes, digest } = upload;
    const mostBytes = Math.floor(limits.maxBytes.uploads / limits.shards);
    if (bytes.length >= mostBytes) {
      throw new TesseraError(
        'MEDIA_TOO_LARGE',
        `an upload of ${bytes.length} bytes does not fit, even alone: there is room for ${mostBytes}`,
      );
    }
    const wasThere = (await this.last(digest, 'head', options.signal)) !== undefined;
    try {
      await this.putAll(upload, options);
    } catch (reason) {
      // Parts without a head are nobody's, and take the room of others.
      if (!wasThere) await this.remove(digest);
      throw reason;
    }
    // Its parts are a little older than its head; who names it in the last moment may come too late.
    return Date.now() + limits.uploadMs;
  }

  /**
   * @param digest hex
   * @returns undefined when there is none (any more)
   * @throws TesseraError STAGE_UNAVAILABLE when it cannot be found out
   */
  async find(digest: string, signal: AbortSignal): Promise<FoundUpload | undefined> {
    const message = await this.last(digest, 'head', signal);
    if (message === undefined) return undefined;
    const head = UploadHead.decode(message.data);
    return {
      size: Number(head.size),
      modality: head.modality,
      mimeType: head.mimeType,
      expiresAtMs: message.time.getTime() + this.connection.limits.uploadMs,
      read: (readSignal) => this.read(digest, head, readSignal),
    };
  }

  private async read(
    digest: string,
    { size: sizeBytes, parts, partBytes }: UploadHead,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const size = Number(sizeBytes);
    const bytes = new Uint8Array(size);
    const hash = createHash('sha256');
    let offset = 0;
    for (let index = 0; index < parts; index++) {
      const data = (await this.last(digest, { partBytes, index }, signal))?.data;
      if (data === undefined || offset + data.length > size) throw gone(digest);
      bytes.set(data, offset);
      hash.update(data);
      offset += data.length;
    }
    // Parts of another length than their head says, or of other bytes: nobody's upload.
    if (offset !== size || hash.digest('hex') !== digest) throw gone(digest);
    return bytes;
  }

  private async putAll({ bytes, digest, modality, mimeType }: Upload, options: PublishOptions): Promise<void> {
    const { partBytes } = this.connection.limits;
    const parts = Math.ceil(bytes.length / partBytes);
    for (let index = 0; index < parts; index++) {
      const payload = bytes.subarray(index * partBytes, (index + 1) * partBytes);
      await this.publish(digest, { partBytes, index }, payload, options);
    }
    const head = { size: BigInt(bytes.length), parts, modality, mimeType, partBytes };
    await this.publish(digest, 'head', UploadHead.encode(head).finish(), options);
  }

  private async publish(digest: string, piece: Piece, payload: Uint8Array, options: PublishOptions): Promise<void> {
    const { stream, subject } = this.place(digest, piece);
    // Never taken for a duplicate: the same bytes that come again live longer.
    const id = `${subject}/${randomBytes(8).toString('hex')}`;
    await this.publisher.publish({ kind: uploads.name, stream, subject, id, attempt: 0, payload }, options);
  }

  private async remove(digest: string): Promise<void> {
    const { manager, subjects, log, isOnline } = this.connection;
    if (!isOnline) return;
    const shard = this.shardOf(digest);
    const stream = subjects.shard(uploads, shard);
    await manager.streams.purge(stream, { filter: subjects.uploadFilter(shard, digest) }).catch((reason: unknown) => {
      log.debug({ stream, error: messageOf(reason) }, 'parts of an upload were not removed; they go when they are old');
    });
  }

  private place(digest: string, piece: Piece): { readonly stream: string; readonly subject: string } {
    const { subjects } = this.connection;
    const shard = this.shardOf(digest);
    return {
      stream: subjects.shard(uploads, shard),
      subject:
        piece === 'head'
          ? subjects.uploadHead(shard, digest)
          : subjects.uploadPart(shard, digest, piece.partBytes, piece.index),
    };
  }

  /** The last message of a piece; undefined when there is none. */
  private async last(digest: string, piece: Piece, signal?: AbortSignal): Promise<StoredMsg | undefined> {
    const { manager } = this.connection;
    const { stream, subject } = this.place(digest, piece);
    const until = signal ?? never;
    await this.connection.waitOnline(until);
    try {
      return (await abortable(manager.direct.getMessage(stream, { last_by_subj: subject }), until)) ?? undefined;
    } catch (reason) {
      until.throwIfAborted();
      throw new TesseraError('STAGE_UNAVAILABLE', `stream ${stream} cannot be read: ${messageOf(reason)}`, {
        cause: reason,
      });
    }
  }

  private shardOf(digest: string): number {
    return Number.parseInt(digest.slice(0, 6), 16) % this.connection.limits.shards;
  }
}

function gone(digest: string): TesseraError {
  return new TesseraError('MEDIA_MISSING', `the upload ${digest} is not whole any more; upload it again`);
}
