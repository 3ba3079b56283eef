import { failurePart, MediaEvent, type SubjectParts, TesseraError } from '@tessera/protocol';
import type { BusConnection } from './bus-connection.js';
import { messageOf } from './bus-connection.js';
import { MediaOrder } from './media-order.js';
import type { Publisher, PublishOptions } from './publisher.js';
import { readStream } from './stream-reader.js';
import { readFailure, type StageFailure } from './tensor-stream.js';

/** What a generator says of a request's drawings, from its worker to the gateway. */
export class MediaStream {
  constructor(
    private readonly connection: BusConnection,
    private readonly publisher: Publisher,
    private readonly restore: (signal?: AbortSignal) => Promise<void>,
  ) {}

  /** One event after the other: each is acknowledged before the promise resolves. */
  async publish(event: MediaEvent, options: PublishOptions): Promise<void> {
    const { key } = event;
    if (key === undefined) throw new TesseraError('INTERNAL', 'a media event without a key');
    const payload = MediaEvent.encode(event).finish();
    await this.publisher.publish({ kind: 'media', key, tile: 0, part: event.sequence, payload }, options);
  }

  /** The newest attempt's events of each drawing, in order and each once, and failures; ends with the signal. */
  async *read(requestId: string, signal: AbortSignal): AsyncGenerator<MediaEvent | StageFailure, void> {
    const { subjects, limits } = this.connection;
    const order = new MediaOrder(limits);
    const failures = new Set<string>();
    const filter = subjects.requestFilter('media', requestId);
    for await (const message of readStream(this.connection, subjects.stream('media'), filter, signal, this.restore)) {
      const at = subjects.parse(message.subject);
      if (at === undefined) {
        this.dropCorrupt(requestId, 'a malformed subject');
      } else if (at.part === failurePart) {
        const failure = readFailure(this.connection, 'media', at, message.data);
        if (failure === undefined || failures.has(`${at.item}/${failure.attempt}`)) continue;
        failures.add(`${at.item}/${failure.attempt}`);
        yield failure;
      } else {
        yield* this.inOrder(order, at, message.data);
      }
    }
  }

  private inOrder(order: MediaOrder, at: SubjectParts, payload: Uint8Array): MediaEvent[] {
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
    const { ready, dropped } = order.add(key.attempt, key.item, event, payload.length);
    if (dropped !== undefined) this.connection.observer.dropped?.('media', dropped);
    return ready;
  }

  private dropCorrupt(requestId: string, detail: string): void {
    this.connection.log.warn({ requestId, detail }, 'a corrupt media event was dropped');
    this.connection.observer.dropped?.('media', 'corrupt');
  }
}
