import { TesseraError } from '@tessera/protocol';
import type { ByteBudget } from '../intake/media-intake.js';

export interface ClientLimitsOptions {
  /** Requests that one client may have in flight. */
  readonly requests: number;
  /** Bytes of media that one client's requests may hold together. */
  readonly bytes: number;
}

/** What one request holds of its client's share. Dispose of it when the request has ended. */
export interface ClientPlace extends Disposable {
  /** For the request's media. */
  readonly budget: ByteBudget;
}

interface Client {
  requests: number;
  bytes: number;
}

/** Retrying sooner finds the same requests in flight. */
const retryAfterMs = 1000;

/** Keeps one client from taking the whole gateway. What is not in flight is not remembered. */
export class ClientLimits {
  private readonly clients = new Map<string, Client>();

  constructor(
    private readonly limits: ClientLimitsOptions,
    /** What all clients share. */
    private readonly shared: ByteBudget,
  ) {}

  /** Clients with a request in flight. */
  get size(): number {
    return this.clients.size;
  }

  /**
   * @param places how many places the request takes, one for each of its choices
   * @throws TesseraError QUEUE_FULL when the client would have more in flight than one may have
   */
  enter(name: string, places = 1): ClientPlace {
    const client = this.clients.get(name) ?? { requests: 0, bytes: 0 };
    if (client.requests + places > this.limits.requests) {
      const more = places === 1 ? '' : `, and asks for ${places} choices`;
      const message = `this client has ${client.requests} requests in flight${more}; ${this.limits.requests} is the limit of one client`;
      throw new TesseraError('QUEUE_FULL', message, { retryAfterMs });
    }
    client.requests += places;
    this.clients.set(name, client);
    return {
      budget: {
        take: (bytes) => {
          if (client.bytes + bytes > this.limits.bytes) {
            const message = `this client's requests hold ${client.bytes} bytes of media, and ${this.limits.bytes} is the limit of one client`;
            throw new TesseraError('QUEUE_FULL', message, { retryAfterMs });
          }
          this.shared.take(bytes);
          client.bytes += bytes;
        },
        give: (bytes) => {
          this.shared.give(bytes);
          client.bytes -= bytes;
        },
      },
      [Symbol.dispose]: () => {
        client.requests -= places;
        if (client.requests === 0) this.clients.delete(name);
      },
    };
  }
}
