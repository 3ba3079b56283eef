import { createHash } from 'node:crypto';
import type { FoundUpload } from '@tessera/bus';
import { type Media, type MediaPart, quoted, TesseraError } from '@tessera/protocol';
import { GrowingBytes } from './growing-bytes.js';

export interface IntakeLimits {
  readonly itemBytes: number;
  readonly partBytes: number;
}

/** A media item as it was received, whole. */
export interface ReceivedMedia {
  readonly declaration: Media;
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

interface Item {
  readonly declaration: Media;
  /** Its number among the declarations. */
  readonly index: number;
  received: GrowingBytes;
  /** Bytes that came in one piece: not copied. */
  whole?: Uint8Array;
  complete: boolean;
}

/** Collects one request's media. What it took from the budget it gives back on `release`. */
export class MediaIntake {
  private readonly items = new Map<string, Item>();
  private held = 0;

  /** @param media each with its source */
  constructor(
    media: readonly Media[],
    private readonly limits: IntakeLimits,
    private readonly budget: ByteBudget,
  ) {
    media.forEach((declaration, index) => {
      this.items.set(declaration.name, { declaration, index, received: new GrowingBytes(), complete: false });
    });
  }

  /** Takes the bytes that came with the declarations. @throws TesseraError QUEUE_FULL */
  takeInline(): void {
    for (const item of this.items.values()) {
      const { source } = item.declaration;
      if (source?.$case !== 'inline') continue;
      this.take(source.value.length);
      item.whole = source.value;
      item.complete = true;
    }
  }

  /**
   * Takes the bytes of items that were uploaded before.
   * @param find by digest, hex
   * @throws TesseraError MEDIA_MISSING when one is not there (any more); MEDIA_TOO_LARGE, QUEUE_FULL, STAGE_UNAVAILABLE
   */
  async takeUploads(find: (digest: string) => Promise<FoundUpload | undefined>, signal: AbortSignal): Promise<void> {
    for (const item of this.items.values()) {
      const { source, name } = item.declaration;
      if (source?.$case !== 'digest') continue;
      const field = `media[${item.index}].digest`;
      const found = await find(source.value.replace(/^sha256:/, ''));
      if (found === undefined) {
        const why = 'is not among the uploads, or not any more; upload it again';
        throw new TesseraError('MEDIA_MISSING', `media ${quoted(name)} ${why}`, { field });
      }
      if (found.size > this.limits.itemBytes) {
        throw new TesseraError(
          'MEDIA_TOO_LARGE',
          `media ${quoted(name)} has ${found.size} bytes; the limit of one media item is ${this.limits.itemBytes}`,
          { field },
        );
      }
      // Asked for before there is memory for them.
      this.take(found.size);
      item.whole = await found.read(signal).catch((reason: unknown) => {
        throw TesseraError.from(reason).inField(field);
      });
      item.complete = true;
    }
  }

  /** @throws TesseraError REQUEST_INVALID, MESSAGE_TOO_LARGE, MEDIA_TOO_LARGE, QUEUE_FULL */
  add({ name, data, last }: MediaPart): void {
    const item = this.items.get(name);
    if (item?.declaration.source?.$case !== 'parts') {
      const why = item === undefined ? 'which is not declared' : 'whose bytes are not to come in parts';
      throw new TesseraError('REQUEST_INVALID', `a part was sent for media ${quoted(name)}, ${why}`, {
        field: 'media_part.name',
      });
    }
    if (item.complete) {
      throw new TesseraError('REQUEST_INVALID', `a part was sent for media ${quoted(name)} after its last part`, {
        field: 'media_part.name',
      });
    }
    const { itemBytes, partBytes } = this.limits;
    if (data.length > partBytes) {
      throw new TesseraError(
        'MESSAGE_TOO_LARGE',
        `a part of media ${quoted(name)} has ${data.length} bytes; the limit of one part is ${partBytes}`,
        { field: 'media_part.data' },
      );
    }
    if (item.received.length + data.length > itemBytes) {
      throw new TesseraError(
        'MEDIA_TOO_LARGE',
        `media ${quoted(name)} has more than ${itemBytes} bytes, the limit of one media item`,
        { field: 'media_part.data' },
      );
    }
    this.append(item, data);
    item.complete = last;
  }

  get complete(): boolean {
    return [...this.items.values()].every((item) => item.complete);
  }

  /**
   * The items, in the order of their declarations.
   * @throws TesseraError MEDIA_MISSING naming the first item that is not whole; REQUEST_INVALID when one has not as many
   *   bytes as its declaration says
   */
  finish(): ReceivedMedia[] {
    return [...this.items.values()].map((item) => {
      const { declaration, index, received, whole, complete } = item;
      const { length } = whole ?? received;
      const name = quoted(declaration.name);
      if (!complete) {
        throw new TesseraError(
          'MEDIA_MISSING',
          length === 0
            ? `media ${name} is declared to follow in parts, but no part of it was sent`
            : `media ${name} ended after ${length} bytes without a part marked last`,
          { field: length === 0 ? `media[${index}]` : 'media_part.last' },
        );
      }
      const { sizeBytes } = declaration;
      if (sizeBytes !== undefined && sizeBytes !== BigInt(length)) {
        throw TesseraError.invalidField(`media[${index}].size_bytes`, `is ${sizeBytes}, but ${length} bytes came`);
      }
      const bytes = whole ?? received.whole();
      item.received = new GrowingBytes();
      return { declaration, bytes, digest: createHash('sha256').update(bytes).digest('hex') };
    });
  }

  release(): void {
    this.budget.give(this.held);
    this.held = 0;
    this.items.clear();
  }

  private append(item: Item, data: Uint8Array): void {
    this.take(data.length);
    item.received.append(data);
  }

  private take(bytes: number): void {
    this.budget.take(bytes);
    this.held += bytes;
  }
}
