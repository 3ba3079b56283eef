import { randomBytes } from 'node:crypto';
import { AckPolicy, DeliverPolicy, JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { type DeclaredProduct, inboxAddress, type ProductPlace } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import type { DeliveredMessage } from '../jobs/delivered-message.js';
import { Puller } from '../jobs/puller.js';

/** Messages on their way to a process at one time: with parts of 512 KiB, at most 32 MiB. */
const window = 64;
/** The server forgets the consumer of a process that died; a process that is only away for long makes it anew. */
const inactiveMs = 120_000;
/** How long a message may wait here for a request that is not open yet. */
const earlyMs = 10_000;
/** How many requests that ended are remembered: what still comes for them is thrown away without a wait. */
const maxEnded = 4096;

/** Where a request's products go in this process. */
export interface InboxRoute {
  /** Takes a message; it leaves its stream when this returns. Must not throw. */
  accept(at: ProductPlace, payload: Uint8Array): void;
}

/**
 * What stages make for this process, by its address: one long-lived consumer, whatever the number of requests, and each
 * message leaves its stream as soon as it is here.
 */
export class Inbox {
  readonly address: string;
  private readonly puller: Puller;
  private readonly routes = new Map<string, InboxRoute>();
  private readonly ended = new Set<string>();
  /** Messages for requests that are not open yet, the oldest first. They stay on the stream until they are taken. */
  private early: { readonly delivered: DeliveredMessage; readonly at: ProductPlace; readonly cameAt: number }[] = [];
  private readonly sweep: NodeJS.Timeout;

  private constructor(
    private readonly connection: BusConnection,
    private readonly product: DeclaredProduct,
    restore: () => Promise<void>,
  ) {
    const shard = Math.floor(Math.random() * connection.limits.shards);
    this.address = inboxAddress(shard, randomBytes(8).toString('hex'));
    this.puller = new Puller(connection, {
      stream: connection.subjects.shard(product, shard),
      consumer: this.address,
      restore: async () => {
        await restore();
        await this.ensureConsumer();
      },
      onMessage: (delivered) => this.take(delivered),
    });
    this.sweep = setInterval(() => this.dropEarly(earlyMs), earlyMs / 4);
    this.sweep.unref();
  }

  /** @param restore makes the streams again if the server lost them */
  static async open(connection: BusConnection, product: DeclaredProduct, restore: () => Promise<void>): Promise<Inbox> {
    const inbox = new Inbox(connection, product, restore);
    await inbox.ensureConsumer();
    inbox.puller.request(window);
    return inbox;
  }

  /** Opens the way for a request's products, those that came early first; returns how to close it. */
  open(requestId: string, route: InboxRoute): () => void {
    this.routes.set(requestId, route);
    this.ended.delete(requestId);
    const waiting = this.early.filter(({ at }) => at.requestId === requestId);
    if (waiting.length > 0) this.early = this.early.filter(({ at }) => at.requestId !== requestId);
    for (const { delivered, at } of waiting) this.hand(delivered, at, route);
    return () => {
      if (this.routes.get(requestId) !== route) return;
      this.routes.delete(requestId);
      this.ended.add(requestId);
      if (this.ended.size <= maxEnded) return;
      const [oldest] = this.ended;
      if (oldest !== undefined) this.ended.delete(oldest);
    };
  }

  /** Receives no more, and leaves nothing on the server. */
  async close(): Promise<void> {
    clearInterval(this.sweep);
    await this.puller.stop();
    await removeInbox(this.connection, this.product, this.address);
  }

  private async ensureConsumer(): Promise<void> {
    const { manager, subjects, limits } = this.connection;
    const stream = subjects.shardOf(this.product, this.address);
    try {
      await manager.consumers.info(stream, this.address);
      return;
    } catch (reason) {
      const missing = reason instanceof JetStreamApiError && reason.code === JetStreamApiCodes.ConsumerNotFound;
      if (!missing) throw reason;
    }
    await manager.consumers.add(stream, {
      name: this.address,
      filter_subject: subjects.inboxFilter(this.product, this.address),
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: nanos(Math.max(limits.ackWaitMs, 2 * earlyMs)),
      max_ack_pending: 2 * window,
      max_waiting: window,
      inactive_threshold: nanos(inactiveMs),
      mem_storage: true,
      num_replicas: limits.replicas,
    });
  }

  private take(delivered: DeliveredMessage): void {
    this.puller.request(1);
    const { subjects, log, observer } = this.connection;
    const { subject } = delivered.message;
    const at = subjects.parseProduct(subject);
    if (at === undefined || at.address !== this.address) {
      log.warn({ subject }, 'a message with a malformed subject was dropped');
      observer.dropped?.(this.product.name, 'corrupt');
      delivered.terminate();
      return;
    }
    const route = this.routes.get(at.requestId);
    if (route !== undefined) {
      this.hand(delivered, at, route);
    } else if (this.ended.has(at.requestId)) {
      observer.dropped?.(this.product.name, 'stale');
      delivered.ack();
    } else {
      // Its request is on its way here, surely; if it is not, the message must not lie here for long.
      this.early.push({ delivered, at, cameAt: performance.now() });
      if (this.early.length > window) this.dropOldest();
    }
  }

  private hand(delivered: DeliveredMessage, at: ProductPlace, route: InboxRoute): void {
    this.connection.observer.received?.(this.product.name, delivered.message.data.length);
    route.accept(at, delivered.message.data);
    delivered.ack();
  }

  private dropEarly(olderThanMs: number): void {
    const oldest = performance.now() - olderThanMs;
    while (this.early[0] !== undefined && this.early[0].cameAt < oldest) this.dropOldest();
  }

  private dropOldest(): void {
    const dropped = this.early.shift();
    if (dropped === undefined) return;
    this.connection.observer.dropped?.(this.product.name, 'stale');
    dropped.delivered.ack();
  }
}

/** Removes an address's consumer and what lies for it. Never throws: what stays goes when it is old. */
export async function removeInbox(connection: BusConnection, product: DeclaredProduct, address: string): Promise<void> {
  const { manager, subjects, isOnline } = connection;
  if (!isOnline) return;
  const stream = subjects.shardOf(product, address);
  await manager.consumers.delete(stream, address).catch(() => {});
  // Safe on a work queue: nobody else's consumer covers these subjects.
  await manager.streams.purge(stream, { filter: subjects.inboxFilter(product, address) }).catch(() => {});
}
