import type { Bus, ProductInbox, StageFailure } from '@tessera/bus';
import type { DrawingEvent } from '@tessera/protocol';

/** NATS was away while a drawing was due: its job may be lost with the queue. */
export class DrawingLost extends Error {}

/** What reads a feed, during one attempt. */
export interface DrawingReader {
  /** @returns false when it takes no more: what it was told is kept for the next one */
  take(event: DrawingEvent | StageFailure): boolean;
  /** Resolves when it takes more; undefined where it does now. */
  room(): Promise<void> | undefined;
  /** Whether a drawing is queued and not delivered. */
  isDue(): boolean;
}

/** What generators say of one request, over all its attempts. */
export class DrawingFeed {
  private readonly events: AsyncIterator<DrawingEvent | StageFailure>;
  /** The next of it, which an attempt may leave to the one after it. */
  private next: Promise<IteratorResult<DrawingEvent | StageFailure>> | undefined;

  /** Listens from now on: open it before anything is asked for. */
  constructor(
    private readonly bus: Bus,
    inbox: ProductInbox<DrawingEvent>,
    requestId: string,
    signal: AbortSignal,
  ) {
    this.events = inbox.receive(requestId, signal)[Symbol.asyncIterator]();
  }

  /**
   * Tells a reader what comes, until it takes no more, or the feed has ended.
   * @throws DrawingLost when NATS was away and a drawing is due
   */
  async readBy(reader: DrawingReader, signal: AbortSignal): Promise<void> {
    const lossAwaited = (): Promise<'reconnected'> => {
      const lost = this.bus.reconnected(signal).then(() => 'reconnected' as const);
      lost.catch(() => undefined);
      return lost;
    };
    let lost = lossAwaited();
    for (;;) {
      this.next ??= this.events.next();
      const first = await Promise.race([lost, this.next]);
      if (first === 'reconnected') {
        if (reader.isDue()) throw new DrawingLost();
        lost = lossAwaited();
        continue;
      }
      if (first.done === true || !reader.take(first.value)) return;
      this.next = undefined;
      await reader.room();
    }
  }
}
