import { createHash } from 'node:crypto';
import { type MediaPart, quoted, TesseraError } from '@tessera/protocol';
import { GrowingBytes } from './growing-bytes.js';

export interface IntakeLimits {
  readonly itemBytes: number;
  readonly partBytes: number;
}

/** A media item as it was received, whole. */
export interface ReceivedMedia {
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, hex. */
  readonly digest: string;
}

/** Where bytes are asked for before they are kept. */
export interface ByteBudget {
  /** @throws TesseraError QUEUE_FULL when there is no room for them */
  take(bytes: number): void;
  give(bytes: number): void;
}

/** Bytes of media that all requests together may hold; one is shared by the whole gateway. */
export class MediaBudget implements ByteBudget {
  private used = 0;

  constructor(
    private readonly limitBytes: number,
    /** Told the bytes in use after each change. */
    private readonly onChange: (usedBytes: number) => void = () => undefined,
  ) {}

  get usedBytes(): number {
    return this.used;
  }

  /** @throws TesseraError QUEUE_FULL when the requests in flight hold too much already */
  take(bytes: number): void {
    if (this.used + bytes > this.limitBytes) {
      throw new TesseraError(
        'QUEUE_FULL',
        `the gateway holds ${this.used} bytes of media for requests in flight, and its limit is ${this.limitBytes}`,
        { retryAfterMs: 1000 },
      );
    }
    this.used += bytes;
    this.onChange(this.used);
  }

  give(bytes: number): void {
    this.used -= bytes;
    this.onChange(this.used);
  }
}

/** Collects the parts of one request's media. What it took from the budget it gives back on `release`. */
export class MediaIntake {
  private readonly items = new Map<string, { received: GrowingBytes; complete: boolean }>();
  private held = 0;

  constructor(
    mediaIds: Iterable<string>,
    private readonly limits: IntakeLimits,
    private readonly budget: ByteBudget,
  ) {
    for (const id of mediaIds) this.items.set(id, { received: new GrowingBytes(), complete: false });
  }

  add(part: MediaPart): void {
    const item = this.items.get(part.mediaId);
    if (item === undefined) {
      throw new TesseraError(
        'REQUEST_INVALID',
        `a part was sent for media_id ${quoted(part.mediaId)}, which no message names`,
        { field: 'media_part.media_id' },
      );
    }
    if (item.complete) {
      throw new TesseraError(
        'REQUEST_INVALID',
        `a part was sent for media_id ${quoted(part.mediaId)} after its last part`,
        { field: 'media_part.media_id' },
      );
    }
    if (part.data.length > this.limits.partBytes) {
      throw new TesseraError(
        'MESSAGE_TOO_LARGE',
        `a part of media_id ${quoted(part.mediaId)} has ${part.data.length} bytes; the limit of one part is ${this.limits.partBytes}`,
        { field: 'media_part.data' },
      );
    }
    if (item.received.length + part.data.length > this.limits.itemBytes) {
      throw new TesseraError(
        'MEDIA_TOO_LARGE',
        `media_id ${quoted(part.mediaId)} has more than ${this.limits.itemBytes} bytes, the limit of one media item`,
        { field: 'media_part.data' },
      );
    }
    this.budget.take(part.data.length);
    this.held += part.data.length;
    item.received.append(part.data);
    item.complete = part.last;
  }

  get complete(): boolean {
    return [...this.items.values()].every((item) => item.complete);
  }

  /** The items by media_id. @throws TesseraError MEDIA_MISSING naming the first item that is not whole */
  finish(): Map<string, ReceivedMedia> {
    const received = new Map<string, ReceivedMedia>();
    for (const [id, item] of this.items) {
      if (!item.complete) {
        throw new TesseraError(
          'MEDIA_MISSING',
          item.received.length === 0
            ? `a message names media_id ${quoted(id)}, but no part of it was sent`
            : `media_id ${quoted(id)} ended after ${item.received.length} bytes without a part marked last`,
          { field: item.received.length === 0 ? 'messages' : 'media_part.last' },
        );
      }
      const bytes = item.received.whole();
      item.received = new GrowingBytes();
      received.set(id, { bytes, digest: createHash('sha256').update(bytes).digest('hex') });
    }
    return received;
  }

  release(): void {
    this.budget.give(this.held);
    this.held = 0;
    this.items.clear();
  }
}
