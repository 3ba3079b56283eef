import { createHash, randomBytes } from 'node:crypto';
import { sleep } from '@tessera/flow';
import { type Blob, type StoredParts, TesseraError } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import type { PublishOptions } from '../streams/publisher.js';
import type { PartStore } from './part-store.js';

const readTries = 3;

/** A media item on its way to the encoders, for as long as somebody holds it. */
export interface MediaHold {
  /**
   * The item as a job carries it; stored when it is asked for the first time, and again after the connection was lost.
   * @param options `again`: it is missing where it was stored
   * @throws TesseraError DEADLINE_EXCEEDED, CANCELLED
   */
  blob(options: PublishOptions & { readonly again?: boolean }): Promise<Blob>;
  /** Nobody needs it here any more: with the last hold in this process it leaves the stream. */
  release(): void;
}

/** One item in this process, shared by all requests that show it. */
interface Held {
  holds: number;
  stored: { readonly parts: StoredParts; readonly epoch: number } | undefined;
  /** Puts one after the other, so that two requests send one picture once. */
  putting: Promise<unknown>;
}

/** Media on its way to the encoders: in the job where it is small, else in parts until its tiles are made. */
export class MediaStore {
  private readonly held = new Map<string, Held>();

  constructor(
    private readonly connection: BusConnection,
    private readonly parts: PartStore,
  ) {}

  /**
   * @param digest SHA-256 of the bytes, hex
   * @throws TesseraError MEDIA_TOO_LARGE over maxMediaBytes
   */
  hold(bytes: Uint8Array, digest: string): MediaHold {
    const size = BigInt(bytes.length);
    this.checkSize(size);
    if (bytes.length <= this.connection.limits.partBytes) {
      return { blob: async () => ({ place: { $case: 'inline', value: bytes }, digest, size }), release: () => {} };
    }
    let held = this.held.get(digest);
    if (held === undefined) {
      held = { holds: 0, stored: undefined, putting: Promise.resolve() };
      this.held.set(digest, held);
    }
    const item = held;
    item.holds++;
    let released = false;
    return {
      blob: async (options) => {
        const put = item.putting.then(() => this.put(item, bytes, digest, options));
        item.putting = put.catch(() => {});
        return { place: { $case: 'stored', value: await put }, digest, size };
      },
      release: () => {
        if (released) return;
        released = true;
        if (--item.holds > 0) return;
        this.held.delete(digest);
        void item.putting.then(() => this.drop(item));
      },
    };
  }

  /**
   * The bytes, checked against size and digest.
   * @throws TesseraError STAGE_UNAVAILABLE (retryable) when they are not there or not whole; MEDIA_TOO_LARGE over the
   * limit; MEDIA_CORRUPT when bytes in the job itself do not have the digest
   */
  async get(blob: Blob, signal: AbortSignal): Promise<Uint8Array> {
    const { place, digest, size } = blob;
    this.checkSize(size);
    if (place === undefined) throw new TesseraError('MEDIA_MISSING', 'the job says nowhere where its media is');
    if (place.$case === 'inline') {
      if (BigInt(place.value.length) !== size || sha256(place.value) !== digest) {
        throw new TesseraError('MEDIA_CORRUPT', `the media in the job does not have the digest ${digest}`);
      }
      return place.value;
    }
    for (let attempt = 1; ; attempt++) {
      try {
        const bytes = await this.parts.get(place.value, Number(size), signal);
        if (sha256(bytes) === digest) return bytes;
        throw new TesseraError('STAGE_UNAVAILABLE', `the media ${digest} does not have that digest where it is stored`);
      } catch (reason) {
        signal.throwIfAborted();
        if (attempt >= readTries) throw reason;
        await sleep(100 * attempt, signal);
      }
    }
  }

  private async put(
    item: Held,
    bytes: Uint8Array,
    digest: string,
    options: PublishOptions & { readonly again?: boolean },
  ): Promise<StoredParts> {
    const { stored } = item;
    const there = stored !== undefined && this.connection.isCurrent(stored.epoch);
    if (there && options.again !== true) return stored.parts;
    if (there) await this.drop(item);
    const { epoch } = this.connection;
    // A name of its own each time: under an old one the server would take the parts for duplicates and store nothing.
    const name = `${digest.slice(0, 16)}-${randomBytes(8).toString('hex')}`;
    const parts = await this.parts.put(bytes, { ...options, name });
    item.stored = { parts, epoch };
    if (item.holds === 0) await this.drop(item);
    return parts;
  }

  private async drop(item: Held): Promise<void> {
    const { stored } = item;
    item.stored = undefined;
    if (stored !== undefined) await this.parts.drop(stored.parts, stored.epoch);
  }

  private checkSize(size: bigint): void {
    const { maxMediaBytes } = this.connection.limits;
    if (size <= BigInt(maxMediaBytes)) return;
    throw new TesseraError(
      'MEDIA_TOO_LARGE',
      `a media item of ${size} bytes is over the limit of ${maxMediaBytes} bytes`,
    );
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
