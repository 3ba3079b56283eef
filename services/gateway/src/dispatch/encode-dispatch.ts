import type { MediaKind, MediaSize } from '@tessera/protocol';
import type { Bus, MediaHold, QueuedJob } from '@tessera/runtime';

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

/** How many jobs items are cut into. */
export function encodeJobs(items: readonly Pick<EncodeItem, 'tiles'>[], tilesPerJob: number): number {
  return items.reduce((jobs, { tiles }) => jobs + Math.ceil(tiles / tilesPerJob), 0);
}

/** What is known of one tile. */
interface TileState {
  /** The first tile of its newest job; undefined before there is one. */
  firstTile: number | undefined;
  arrived: boolean;
}

/** One item, as long as tiles of it are to come. */
interface ItemState {
  readonly item: EncodeItem;
  readonly tiles: TileState[];
  hold: MediaHold | undefined;
}

/**
 * Cuts the media of one request into encode jobs, sees which tiles have come, and has those made again that are lost. The
 * media leave NATS when their tiles are made.
 */
export class EncodeDispatch {
  private readonly items: readonly ItemState[];
  private readonly queued: QueuedJob[] = [];

  constructor(
    private readonly bus: Bus,
    private readonly tilesPerJob: number,
    items: readonly EncodeItem[],
    private readonly call: EncodeCall,
  ) {
    this.items = items.map((item) => ({
      item,
      tiles: Array.from({ length: item.tiles }, () => ({ firstTile: undefined, arrived: false })),
      hold: undefined,
    }));
  }

  /** Whether tiles are still to come: then jobs of this request may lie in a queue, or with a worker. */
  get isUnfinished(): boolean {
    return this.items.some(({ tiles }) => tiles.some(({ arrived }) => !arrived));
  }

  /**
   * Queues every tile of every item for an engine that has none of them, the first items first, since the engine prefills
   * in that order.
   * @param deliverTo the engine's address
   */
  async sendAll(attempt: number, deliverTo: string): Promise<void> {
    for (const { tiles } of this.items) for (const tile of tiles) tile.arrived = false;
    // What another engine was to get and nobody has begun.
    await Promise.all(this.queued.splice(0).map((job) => this.bus.withdrawJob(job)));
    for (const state of this.items) {
      const { tiles } = state.item;
      for (let first = 0; first < tiles; first += this.tilesPerJob) {
        await this.send(state, first, Math.min(this.tilesPerJob, tiles - first), attempt, deliverTo);
      }
    }
  }

  /** A tile's tokens reached the engine; with an item's last one its media is let go. */
  arrived(itemNumber: number, tile: number): void {
    const state = this.items[itemNumber];
    const known = state?.tiles[tile];
    if (state === undefined || known === undefined) return;
    known.arrived = true;
    if (state.tiles.every(({ arrived }) => arrived)) release(state);
  }

  /**
   * Has a tile made again that an engine misses, unless work on it goes on: a slow tile is never computed twice at once.
   * @param attempt gives a higher one, so that no copy is taken for a duplicate
   */
  async resendIfLost(itemNumber: number, tile: number, attempt: () => number, deliverTo: string): Promise<void> {
    const state = this.items[itemNumber];
    const known = state?.tiles[tile];
    if (state === undefined || known === undefined || known.arrived) return;
    const { requestId } = this.call;
    const { firstTile } = known;
    // Not sent yet: its turn comes.
    if (firstTile === undefined) return;
    // Where it cannot be found out the engine asks again.
    const place = { requestId, item: itemNumber, tile, firstTile };
    if (await this.bus.isTileUnderWay(place, deliverTo).catch(() => true)) return;
    if (known.arrived || this.call.signal.aborted) return;
    await this.send(state, tile, 1, attempt(), deliverTo, true);
  }

  /** The same for every tile that has not come. */
  async resendLost(attempt: () => number, deliverTo: string): Promise<void> {
    for (const { item, tiles } of this.items) {
      for (const tile of tiles.keys()) await this.resendIfLost(item.item, tile, attempt, deliverTo);
    }
  }

  /** The request has ended: lets go of its media, and takes back what nobody has begun. */
  async close(): Promise<void> {
    const unfinished = this.isUnfinished;
    for (const state of this.items) release(state);
    if (unfinished) await Promise.all(this.queued.map((job) => this.bus.withdrawJob(job)));
  }

  private async send(
    state: ItemState,
    firstTile: number,
    tileCount: number,
    attempt: number,
    deliverTo: string,
    again = false,
  ): Promise<void> {
    const { item } = state;
    const { requestId, deadlineMs, signal } = this.call;
    state.hold ??= this.bus.holdMedia(item.bytes, item.digest);
    const media = await state.hold.blob({ deadlineMs, signal, again });
    const key = { requestId, attempt, item: item.item };
    const job = await this.bus.publishJob(
      'encode',
      { key, media, kind: item.kind, size: item.size, firstTile, tileCount },
      { deadlineMs, signal, deliverTo },
    );
    for (const tile of state.tiles.slice(firstTile, firstTile + tileCount)) tile.firstTile = firstTile;
    this.queued.push(job);
    // The request ended while the job was on its way, and nobody else will take it back.
    if (signal.aborted) await this.bus.withdrawJob(job);
  }
}

function release(state: ItemState): void {
  state.hold?.release();
  state.hold = undefined;
}
