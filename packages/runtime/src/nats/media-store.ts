import { createHash } from 'node:crypto';
import { AckPolicy, DeliverPolicy } from '@nats-io/jetstream';
import { type ObjectStore, Objm } from '@nats-io/obj';
import { nanos, nuid } from '@nats-io/transport-node';
import { type Blob, TesseraError } from '@tessera/protocol';
import { abortable, sleep } from '../abort.js';
import { signalWithDeadline } from '../deadline.js';
import type { BusConnection } from './bus-connection.js';
import { messageOf } from './bus-connection.js';

/** How long one object may take to come, from the first byte asked for to the last. */
const readMs = 30_000;
const readTries = 3;
const readAhead = 8;

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * Media on its way to the encoders: in the job where it is small, else in the object store under its digest. An object
 * lives twice the longest deadline and is put again once half of that has passed, so it never ends under a request.
 */
export class MediaStore {
  private opened: Promise<ObjectStore> | undefined;
  /** Objects being put by this process, so that one picture in many requests is sent once. */
  private readonly putting = new Map<string, Promise<void>>();

  constructor(
    private readonly connection: BusConnection,
    private readonly restore: (signal?: AbortSignal) => Promise<void>,
  ) {
    connection.onReconnect(() => {
      this.opened = undefined;
    });
  }

  /**
   * @param digest SHA-256 of the bytes, hex
   * @throws TesseraError MEDIA_TOO_LARGE over maxMediaBytes; QUEUE_FULL when the store has no room; STAGE_UNAVAILABLE
   * when NATS does not take it
   */
  async put(bytes: Uint8Array, digest: string): Promise<Blob> {
    const { limits } = this.connection;
    const size = BigInt(bytes.length);
    if (bytes.length > limits.maxMediaBytes) {
      throw new TesseraError(
        'MEDIA_TOO_LARGE',
        `a media item of ${bytes.length} bytes is over the limit of ${limits.maxMediaBytes} bytes`,
      );
    }
    if (bytes.length <= limits.partBytes) return { place: { $case: 'inline', value: bytes }, digest, size };
    let putting = this.putting.get(digest);
    if (putting === undefined) {
      putting = this.putObject(bytes, digest).finally(() => this.putting.delete(digest));
      this.putting.set(digest, putting);
    }
    await putting;
    return { place: { $case: 'object', value: digest }, digest, size };
  }

  /**
   * The bytes, checked against size and digest.
   * @throws TesseraError STAGE_UNAVAILABLE (retryable) when the object is not there or not whole; MEDIA_TOO_LARGE over
   * the limit; MEDIA_CORRUPT when bytes in the job itself do not have the digest
   */
  async get(blob: Blob, signal: AbortSignal): Promise<Uint8Array> {
    const { limits } = this.connection;
    const { place, digest } = blob;
    if (blob.size > BigInt(limits.maxMediaBytes)) {
      throw new TesseraError(
        'MEDIA_TOO_LARGE',
        `a media item of ${blob.size} bytes is over the limit of ${limits.maxMediaBytes} bytes`,
      );
    }
    if (place === undefined) throw new TesseraError('MEDIA_MISSING', 'the job says nowhere where its media is');
    if (place.$case === 'inline') {
      if (BigInt(place.value.length) !== blob.size || sha256(place.value) !== digest) {
        throw new TesseraError('MEDIA_CORRUPT', `the media in the job does not have the digest ${digest}`);
      }
      return place.value;
    }
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.getObject(place.value, digest, Number(blob.size), signal);
      } catch (reason) {
        signal.throwIfAborted();
        // Another gateway that puts the same object replaces its chunks under a reader: look again at once.
        if (attempt >= readTries) {
          throw new TesseraError(
            'STAGE_UNAVAILABLE',
            `the media object ${digest} cannot be read: ${messageOf(reason)}`,
            {
              cause: reason,
            },
          );
        }
        await sleep(100 * attempt, signal);
      }
    }
  }

  private async putObject(bytes: Uint8Array, digest: string): Promise<void> {
    const { limits } = this.connection;
    for (let attempt = 1; ; attempt++) {
      try {
        const store = await this.store();
        const known = await store.info(digest);
        const ageMs = Date.now() - Date.parse(known?.mtime ?? '');
        if (known !== null && !known.deleted && known.size === bytes.length && ageMs < limits.maxDeadlineMs) return;
        await store.putBlob({ name: digest, options: { max_chunk_size: limits.partBytes } }, bytes, { timeout: 5000 });
        return;
      } catch (reason) {
        if (/exceeded/i.test(messageOf(reason))) {
          throw new TesseraError('QUEUE_FULL', `the object store of media is full: ${messageOf(reason)}`, {
            cause: reason,
            retryAfterMs: 1000,
          });
        }
        if (attempt >= readTries) {
          throw new TesseraError('STAGE_UNAVAILABLE', `the media object could not be stored: ${messageOf(reason)}`, {
            cause: reason,
          });
        }
        await sleep(200 * attempt);
        await this.restore().catch(() => {});
      }
    }
  }

  /**
   * Reads the chunks itself: the client's own reader waits for ever when an object's chunks are gone but its
   * description is still there, which is how an object ends its life.
   */
  private async getObject(name: string, digest: string, size: number, signal: AbortSignal): Promise<Uint8Array> {
    const { manager, js, subjects } = this.connection;
    using until = signalWithDeadline(signal, Date.now() + readMs);
    await this.connection.waitOnline(until.signal);
    const info = await abortable(
      this.store().then((store) => store.info(name)),
      until.signal,
    );
    if (info === null || info.deleted) throw new Error('there is no such object');
    if (info.size !== size) throw new Error(`the object has ${info.size} bytes, not ${size}`);
    const stream = `OBJ_${subjects.blobBucket()}`;
    const consumer = `read_${nuid.next()}`;
    const created = await manager.consumers.add(stream, {
      name: consumer,
      filter_subject: `$O.${subjects.blobBucket()}.C.${info.nuid}`,
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.All,
      inactive_threshold: nanos(readMs),
      mem_storage: true,
      num_replicas: 1,
    });
    try {
      if (created.num_pending !== info.chunks)
        throw new Error(`${created.num_pending} of ${info.chunks} chunks are there`);
      const bytes = new Uint8Array(size);
      let [offset, chunks] = [0, 0];
      const messages = await js.consumers.getConsumerFromInfo(created).consume({
        max_messages: readAhead,
        expires: 5000,
        idle_heartbeat: 1000,
        abort_on_missing_resource: true,
      });
      const stop = () => messages.stop();
      until.signal.addEventListener('abort', stop, { once: true });
      try {
        for await (const { data } of messages) {
          if (offset + data.length > size) throw new Error('the chunks hold more bytes than the object says');
          bytes.set(data, offset);
          offset += data.length;
          if (++chunks === info.chunks) break;
        }
      } finally {
        until.signal.removeEventListener('abort', stop);
        messages.stop();
      }
      until.signal.throwIfAborted();
      if (offset !== size || sha256(bytes) !== digest) throw new Error('the bytes do not have the digest');
      return bytes;
    } finally {
      if (this.connection.isOnline) await manager.consumers.delete(stream, consumer).catch(() => {});
    }
  }

  private store(): Promise<ObjectStore> {
    if (this.opened === undefined) {
      const opening = new Objm(this.connection.js).open(this.connection.subjects.blobBucket());
      this.opened = opening;
      opening.catch(() => {
        if (this.opened === opening) this.opened = undefined;
      });
    }
    return this.opened;
  }
}
