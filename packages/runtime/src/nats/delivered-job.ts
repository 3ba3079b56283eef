import { type Msg, nanos } from '@nats-io/transport-node';

const text = new TextEncoder();
const ack = text.encode('+ACK');
const working = text.encode('+WPI');
const terminate = text.encode('+TERM');

/** A job as JetStream delivered it; what is known of the delivery stands in the reply subject. */
export class DeliveredJob {
  private constructor(
    readonly message: Msg,
    /** How often it was delivered, this time included. */
    readonly deliveries: number,
    /** When the server stored it, Unix ms on the server's clock. */
    readonly storedAtMs: number,
  ) {}

  /** Undefined when the message is no delivery but a status of the server. */
  static of(message: Msg): DeliveredJob | undefined {
    // $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>; newer servers put the
    // domain and the account in front of the stream.
    const tokens = message.reply?.split('.') ?? [];
    if (tokens[0] !== '$JS' || tokens[1] !== 'ACK') return undefined;
    const first = tokens.length === 9 ? 4 : 6;
    return new DeliveredJob(message, Number(tokens[first]), Number(tokens[first + 3]) / 1e6);
  }

  /** Done: the job leaves the queue. */
  ack(): void {
    this.message.respond(ack);
  }

  /** Still at it: the time until it is given to another worker begins anew. */
  working(): void {
    this.message.respond(working);
  }

  /** Not now: to be delivered again, to any worker, after the delay. */
  retry(delayMs: number): void {
    this.message.respond(text.encode(delayMs > 0 ? `-NAK ${JSON.stringify({ delay: nanos(delayMs) })}` : '-NAK'));
  }

  /** Never again: the job leaves the queue undone. */
  terminate(): void {
    this.message.respond(terminate);
  }
}
