import type { Bus, MediaHold, QueuedJob } from '@tessera/bus';
import { remainingMs, sleep } from '@tessera/flow';
import {
  connectQueue,
  type ErrorCode,
  encodeQueue,
  type JobPlace,
  type MediaSize,
  type Modality,
  TesseraError,
  visualTokens,
} from '@tessera/protocol';

/** One media item as the encoder needs it. */
export interface EncodeItem {
  readonly item: number;
  readonly modality: Modality;
  readonly size: MediaSize;
  readonly tiles: number;
  readonly bytes: Uint8Array;
  /** SHA-256, hex. */
  readonly digest: string;
}

export interface EncodeCall {
  readonly requestId: string;
  readonly deadlineMs: number;
}

/** How many jobs items are cut into. */
export function encodeJobs(items: readonly Pick<EncodeItem, 'tiles'>[], tilesPerJob: number): number {
  return items.reduce((jobs, { tiles }) => jobs + Math.ceil(tiles / tilesPerJob), 0);
}

/** What passes: a queue or a store that is full, a server that is away. */
const passing: ReadonlySet<ErrorCode> = new Set(['QUEUE_FULL', 'STAGE_UNAVAILABLE']);

const firstPauseMs = 100;
const maxPauseMs = 5000;
/** Given up this long before the deadline, so that the caller learns what was full. */
const noticeMs = 250;

/** What is known of one tile. */
interface TileState {
  /** The first tile of its newest job; undefined before there is one. */
  firstTile: number | undefined;
  arrived: boolean;
  /** The engine waits for it. */
  wanted: boolean;
}

/** The engine that tiles are made for, as long as it has the request. */
export interface Recipient {
  readonly deliverTo: string;
  readonly signal: AbortSignal;
}

interface Sending extends Recipient {
  readonly attempt: number;
  /** The server may have lost the media since. */
  readonly again?: boolean;
}

/** The numbers that copies of a tile are told apart by. */
export interface MadeUnder {
  /** Of what is made for the first time. */
  readonly first: number;
  /** A higher one for what is made again. */
  readonly next: () => number;
}

/** One item, as long as tiles of it are to come. */
interface ItemState {
  readonly item: EncodeItem;
  readonly tiles: TileState[];
  hold: MediaHold | undefined;
}

/** Between two looks for a tile that is nowhere. */
const secondLookMs = 250;

/**
 * Cuts the media of one request into encode jobs, sees which tiles have come, and has those made again that are lost. The
 * media leave NATS when their tiles are made.
 */
export class EncodeDispatch {
  private readonly items: readonly ItemState[];
  private readonly queued: QueuedJob[] = [];
  private resending: Promise<void> = Promise.resolve();

  constructor(
    private readonly bus: Bus,
    private readonly tilesPerJob: number,
    items: readonly EncodeItem[],
    private readonly call: EncodeCall,
  ) {
    this.items = items.map((item) => ({
      item,
      tiles: Array.from({ length: item.tiles }, () => ({ firstTile: undefined, arrived: false, wanted: false })),
      hold: undefined,
    }));
  }

  /** Whether tiles are still to come: then jobs of this request may lie in a queue, or with a worker. */
  get isUnfinished(): boolean {
    return this.items.some(({ tiles }) => tiles.some(({ wanted, arrived }) => wanted && !arrived));
  }

  /**
   * Queues every tile of every item for an engine that has none of them, the first items first, since the engine prefills
   * in that order.
   * @param deliverTo the engine's address
   * @param signal ends with the attempt
   * @throws TesseraError of the encoder: what goes wrong here is no fault of the engine
   */
  async sendAll(attempt: number, deliverTo: string, signal: AbortSignal): Promise<void> {
    for (const { tiles } of this.items) for (const tile of tiles) Object.assign(tile, { arrived: false, wanted: true });
    // What another engine was to get and nobody has begun.
    await Promise.all(this.queued.splice(0).map((job) => this.bus.withdraw(job)));
    for (const state of this.items) {
      const { tiles } = state.item;
      for (let first = 0; first < tiles; first += this.tilesPerJob) {
        const range = { firstTile: first, tileCount: Math.min(this.tilesPerJob, tiles - first) };
        await this.patiently(signal, () => this.send(state, range, { attempt, deliverTo, signal }));
      }
    }
  }

  /**
   * Has a tile made that an engine misses, with those that go into one job with it: for the first time, once more where it
   * had come and the engine has let go of it, or again as `resendIfLost` does.
   * @throws TesseraError of the encoder
   */
  async sendNeeded(item: number, tile: number, attempts: MadeUnder, recipient: Recipient): Promise<void> {
    const state = this.items[item];
    const known = state?.tiles[tile];
    if (state === undefined || known === undefined) return;
    if (known.wanted && !known.arrived) {
      await this.resendIfLost(item, tile, attempts.next, recipient);
      return;
    }
    const firstTile = tile - (tile % this.tilesPerJob);
    const tileCount = Math.min(this.tilesPerJob, state.tiles.length - firstTile);
    const range = state.tiles.slice(firstTile, firstTile + tileCount);
    const isFirst = range.every((each) => each.firstTile === undefined);
    for (const each of range) Object.assign(each, { wanted: true, arrived: false });
    const sending = { attempt: isFirst ? attempts.first : attempts.next(), ...recipient };
    await this.patiently(recipient.signal, () => this.send(state, { firstTile, tileCount }, sending));
  }

  /** A tile's tokens reached the engine; with an item's last one its media is let go. */
  arrived(itemNumber: number, tile: number): void {
    const state = this.items[itemNumber];
    const known = state?.tiles[tile];
    if (state === undefined || known === undefined) return;
    known.arrived = true;
    if (state.tiles.every(({ wanted, arrived }) => arrived || !wanted)) release(state);
  }

  /**
   * Has a tile made again that an engine misses, with those behind it that were lost with the same job; unless work on it
   * goes on: a slow tile is never computed twice at once.
   * @param attempt gives a higher one, so that no copy is taken for a duplicate
   * @throws TesseraError of the encoder
   */
  async resendIfLost(item: number, tile: number, attempt: () => number, recipient: Recipient): Promise<void> {
    // One after the other, so that each sees what the one before has sent.
    const turn = this.resending.then(() => this.resendRange(item, tile, attempt, recipient));
    this.resending = turn.catch(() => undefined);
    await turn;
  }

  /** The same for every tile that has not come. */
  async resendLost(attempt: () => number, recipient: Recipient): Promise<void> {
    for (const { item, tiles } of this.items) {
      for (const tile of tiles.keys()) await this.resendIfLost(item.item, tile, attempt, recipient);
    }
  }

  /** The request has ended: lets go of its media, and takes back what nobody has begun. */
  async close(): Promise<void> {
    const unfinished = this.isUnfinished;
    for (const state of this.items) release(state);
    if (unfinished) await Promise.all(this.queued.map((job) => this.bus.withdraw(job)));
  }

  private async resendRange(
    itemNumber: number,
    tile: number,
    attempt: () => number,
    { deliverTo, signal }: Recipient,
  ): Promise<void> {
    const state = this.items[itemNumber];
    const job = state?.tiles[tile]?.firstTile;
    // What was not sent yet has its turn to come.
    if (state === undefined || job === undefined) return;
    if (!(await this.isLost(state, tile, deliverTo))) return;
    // It may have gone from one place to the next while each was looked at; then it is here in a moment.
    await sleep(secondLookMs, signal);
    let end = tile;
    while (state.tiles[end]?.firstTile === job && (await this.isLost(state, end, deliverTo))) end++;
    if (end === tile || signal.aborted) return;
    const range = { firstTile: tile, tileCount: end - tile };
    const sending = { attempt: attempt(), deliverTo, signal, again: true };
    await this.patiently(signal, () => this.send(state, range, sending));
  }

  private async isLost({ item, tiles }: ItemState, tile: number, deliverTo: string): Promise<boolean> {
    const known = tiles[tile];
    if (known?.firstTile === undefined || known.arrived) return false;
    const at = { requestId: this.call.requestId, item: item.item, tile };
    // Where it cannot be found out the engine asks again.
    const isUnderWay = await this.isUnderWay(at, known.firstTile, deliverTo).catch(() => true);
    return !isUnderWay && !known.arrived;
  }

  /** Whether work on a tile goes on somewhere: a job of it waits or is being done, or its tokens are on their way. */
  private async isUnderWay(at: JobPlace, firstTile: number, deliverTo: string): Promise<boolean> {
    if (await this.bus.isQueued(encodeQueue, { ...at, tile: firstTile })) return true;
    if (await this.bus.isQueued(connectQueue, at)) return true;
    return this.bus.isSent(visualTokens, at, deliverTo);
  }

  /** What cannot be sent now is sent later, in its turn, as long as the deadline allows: the request stays where it is. */
  private async patiently(signal: AbortSignal, send: () => Promise<void>): Promise<void> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
      try {
        return await send();
      } catch (reason) {
        signal.throwIfAborted();
        const error = TesseraError.from(reason);
        const leftMs = remainingMs(this.call.deadlineMs) - noticeMs;
        if (!passing.has(error.code) || leftMs < pauseMs) throw error.ofStage(encodeQueue.worker);
      }
      await sleep(pauseMs, signal);
    }
  }

  private async send(
    state: ItemState,
    { firstTile, tileCount }: { readonly firstTile: number; readonly tileCount: number },
    { attempt, deliverTo, signal, again = false }: Sending,
  ): Promise<void> {
    const { item } = state;
    const { requestId, deadlineMs } = this.call;
    state.hold ??= this.bus.holdMedia(item.bytes, item.digest);
    const media = await state.hold.blob({ deadlineMs, signal, again });
    const key = { requestId, attempt, item: item.item };
    const job = await this.bus.publish(
      encodeQueue,
      { key, media, modality: item.modality, size: item.size, firstTile, tileCount },
      { deadlineMs, signal, deliverTo },
    );
    for (const tile of state.tiles.slice(firstTile, firstTile + tileCount)) tile.firstTile = firstTile;
    this.queued.push(job);
    // The attempt ended while the job was on its way, and nobody else will take it back.
    if (signal.aborted) await this.bus.withdraw(job);
  }
}

function release(state: ItemState): void {
  state.hold?.release();
  state.hold = undefined;
}
