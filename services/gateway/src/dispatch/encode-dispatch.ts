import type { MediaKind, MediaSize } from '@tessera/protocol';
import type { Bus } from '@tessera/runtime';

/** One media item as the encoder needs it. */
export interface EncodeItem {
  readonly item: number;
  readonly kind: MediaKind;
  readonly size: MediaSize;
  readonly tiles: number;
  readonly bytes: Uint8Array;
  /** SHA-256, hex. */
  readonly digest: string;
}

export interface EncodeCall {
  readonly requestId: string;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Cuts the media of one request into encode jobs, and can have single tiles made again. */
export class EncodeDispatch {
  constructor(
    private readonly bus: Bus,
    private readonly tilesPerJob: number,
    private readonly items: readonly EncodeItem[],
    private readonly call: EncodeCall,
  ) {}

  /** Queues every tile of every item, the first items first, since the engine prefills in that order. */
  async sendAll(attempt: number): Promise<void> {
    for (const item of this.items) {
      for (let first = 0; first < item.tiles; first += this.tilesPerJob) {
        await this.send(item, first, Math.min(this.tilesPerJob, item.tiles - first), attempt);
      }
    }
  }

  /** Has one tile made again under a higher attempt, so that the streams do not take it for a duplicate. */
  async resend(itemNumber: number, tile: number, attempt: number): Promise<void> {
    const item = this.items[itemNumber];
    if (item === undefined || tile >= item.tiles) return;
    await this.send(item, tile, 1, attempt);
  }

  private async send(item: EncodeItem, firstTile: number, tileCount: number, attempt: number): Promise<void> {
    const { requestId, deadlineMs, signal } = this.call;
    // Put each time, which stores nothing that is there: a restarted NATS has lost what was stored before.
    const media = await this.bus.putMedia(item.bytes, item.digest);
    await this.bus.publishJob(
      'encode',
      { key: { requestId, attempt, item: item.item }, media, kind: item.kind, size: item.size, firstTile, tileCount },
      { deadlineMs, signal, tile: firstTile },
    );
  }
}
