import { type Msg, nanos } from '@nats-io/transport-node';
import type { BusConnection } from '../connection/bus-connection.js';

const text = new TextEncoder();
const ack = text.encode('+ACK');
const working = text.encode('+WPI');
const terminate = text.encode('+TERM');

/**
 * A message as JetStream delivered it; what is known of the delivery stands in the reply subject. It is settled only within
 * the life of the connection that brought it: a restarted server counts from 1 again, and would take an answer to an old
 * delivery for one to the message that has its number now.
 */
export class DeliveredMessage {
  private constructor(
    private readonly connection: BusConnection,
    private readonly epoch: number,
    readonly message: Msg,
    /** How often it was delivered, this time included. */
    readonly deliveries: number,
    /** When the server stored it, Unix ms on the server's clock. */
    readonly storedAtMs: number,
  ) {}

  /** Undefined when the message is no delivery but a status of the server. */
  static of(connection: BusConnection, message: Msg): DeliveredMessage | undefined {
    // $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>; newer servers put the
    // domain and the account in front of the stream.
    const tokens = message.reply?.split('.') ?? [];
    if (tokens[0] !== '$JS' || tokens[1] !== 'ACK') return undefined;
    const first = tokens.length === 9 ? 4 : 6;
    const [deliveries, storedAtMs] = [Number(tokens[first]), Number(tokens[first + 3]) / 1e6];
    return new DeliveredMessage(connection, connection.epoch, message, deliveries, storedAtMs);
  }

  /** Done: the message leaves its stream. */
  ack(): void {
    this.respond(ack);
  }

  /** Still at it: the time until it is delivered again begins anew. */
  working(): void {
    this.respond(working);
  }

  /** Not now: to be delivered again, to anyone, after the delay. */
  retry(delayMs: number): void {
    this.respond(text.encode(delayMs > 0 ? `-NAK ${JSON.stringify({ delay: nanos(delayMs) })}` : '-NAK'));
  }

  /** Never again: the message leaves its stream undone. */
  terminate(): void {
    this.respond(terminate);
  }

  private respond(answer: Uint8Array): void {
    if (this.connection.isCurrent(this.epoch)) this.message.respond(answer);
  }
}
