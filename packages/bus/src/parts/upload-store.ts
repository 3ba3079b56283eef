import { createHash, randomBytes } from 'node:crypto';
import type { StoredMsg } from '@nats-io/jetstream';
import { abortable } from '@tessera/flow';
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
   * Stores an upload; waits while the stream is full.
   * @returns until when it may be named, Unix ms
   * @throws TesseraError DEADLINE_EXCEEDED, CANCELLED
   */
  async put({ bytes, digest, modality, mimeType }: Upload, options: PublishOptions): Promise<number> {
    const { limits } = this.connection;
    const { partBytes } = limits;
    const parts = Math.ceil(bytes.length / partBytes);
    for (let part = 0; part < parts; part++) {
      await this.publish(digest, part, bytes.subarray(part * partBytes, (part + 1) * partBytes), options);
    }
    const head = UploadHead.encode({ size: BigInt(bytes.length), parts, modality, mimeType }).finish();
    await this.publish(digest, 'head', head, options);
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
    const { size, parts, modality, mimeType } = UploadHead.decode(message.data);
    return {
      size: Number(size),
      modality,
      mimeType,
      expiresAtMs: message.time.getTime() + this.connection.limits.uploadMs,
      read: (readSignal) => this.read(digest, Number(size), parts, readSignal),
    };
  }

  private async read(digest: string, size: number, parts: number, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = new Uint8Array(size);
    const hash = createHash('sha256');
    let offset = 0;
    for (let part = 0; part < parts; part++) {
      const data = (await this.last(digest, part, signal))?.data;
      if (data === undefined || offset + data.length > size) throw gone(digest);
      bytes.set(data, offset);
      hash.update(data);
      offset += data.length;
    }
    // Parts of another length than their head says, or of other bytes: nobody's upload.
    if (offset !== size || hash.digest('hex') !== digest) throw gone(digest);
    return bytes;
  }

  private async publish(
    digest: string,
    part: number | 'head',
    payload: Uint8Array,
    options: PublishOptions,
  ): Promise<void> {
    const { subjects } = this.connection;
    const shard = this.shardOf(digest);
    await this.publisher.publish(
      {
        kind: uploads.name,
        stream: subjects.shard(uploads, shard),
        subject: subjects.upload(shard, digest, part),
        // Never taken for a duplicate: the same bytes that come again live longer.
        id: `${digest}/${part}/${randomBytes(8).toString('hex')}`,
        attempt: 0,
        payload,
      },
      options,
    );
  }

  /** The last message of a subject; undefined when there is none. */
  private async last(digest: string, part: number | 'head', signal: AbortSignal): Promise<StoredMsg | undefined> {
    const { manager, subjects } = this.connection;
    const shard = this.shardOf(digest);
    const stream = subjects.shard(uploads, shard);
    await this.connection.waitOnline(signal);
    try {
      const subject = subjects.upload(shard, digest, part);
      return (await abortable(manager.direct.getMessage(stream, { last_by_subj: subject }), signal)) ?? undefined;
    } catch (reason) {
      signal.throwIfAborted();
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
