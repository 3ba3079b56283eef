import { EventQueue } from '@tessera/flow';
import { failurePart, MediaEvent, type ProductPlace } from '@tessera/protocol';
import { hasUnknownFields } from '@tessera/service';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';
import { DrawingOrder } from './drawing-order.js';
import { Inbox } from './inbox.js';
import { readFailure, type StageFailure } from './stage-failure.js';

/** What generators say of the drawings that this process waits for, for all its requests. */
export class DrawingInbox {
  private readonly open = new Set<EventQueue<MediaEvent | StageFailure>>();

  private constructor(
    private readonly connection: BusConnection,
    private readonly inbox: Inbox,
  ) {}

  static async open(connection: BusConnection, restore: () => Promise<void>): Promise<DrawingInbox> {
    return new DrawingInbox(connection, await Inbox.open(connection, 'drawings', restore));
  }

  /** Where generators are to send: jobs carry it. */
  get address(): string {
    return this.inbox.address;
  }

  /**
   * The newest attempt's events of each of a request's drawings from now on, in order and each once, and failures. The way
   * is open at once; it ends, without an error, when the signal aborts or the reader leaves.
   */
  receive(requestId: string, signal: AbortSignal): AsyncIterable<MediaEvent | StageFailure> {
    let close = (): void => {};
    const onAbandoned = (): void => {
      close();
      this.open.delete(queue);
    };
    const queue = new EventQueue<MediaEvent | StageFailure>({ signal, onAbandoned });
    if (signal.aborted) return queue;
    this.open.add(queue);
    const order = new DrawingOrder();
    const failures = new Set<string>();
    close = this.inbox.open(requestId, {
      accept: (at, payload) => {
        if (at.part === failurePart) {
          const failure = readFailure(this.connection, 'drawings', at, payload);
          if (failure === undefined || failures.has(`${at.item}/${failure.attempt}`)) return;
          failures.add(`${at.item}/${failure.attempt}`);
          queue.put(failure);
        } else {
          for (const event of this.inOrder(order, at, payload)) queue.put(event);
        }
      },
    });
    return queue;
  }

  async close(): Promise<void> {
    for (const queue of this.open) queue.fail(this.connection.closedError());
    await this.inbox.close();
  }

  private inOrder(order: DrawingOrder, at: ProductPlace, payload: Uint8Array): MediaEvent[] {
    let event: MediaEvent;
    try {
      event = MediaEvent.decode(payload);
    } catch (reason) {
      this.dropCorrupt(at.requestId, messageOf(reason));
      return [];
    }
    const { key, sequence } = event;
    if (key === undefined || key.requestId !== at.requestId || key.item !== at.item || sequence !== at.part) {
      this.dropCorrupt(at.requestId, 'the event is not what its subject says');
      return [];
    }
    if (hasUnknownFields(event)) this.connection.observer.unknownFields?.('drawings');
    const { ready, dropped } = order.add(key.attempt, key.item, event, payload.length);
    if (dropped !== undefined) this.connection.observer.dropped?.('drawings', dropped);
    return ready;
  }

  private dropCorrupt(requestId: string, detail: string): void {
    this.connection.log.warn({ requestId, detail }, 'a corrupt event of a drawing was dropped');
    this.connection.observer.dropped?.('drawings', 'corrupt');
  }
}
