import { JetStreamApiError } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { checkRequestId, jobKinds, productKinds, type StreamKind, TesseraError } from '@tessera/protocol';
import type { BusConnection } from './bus-connection.js';
import { messageOf } from './bus-connection.js';

/** How many cancelled requests a process remembers by itself; the tombstones know the others. */
const maxRemembered = 4096;

/** Ends requests everywhere: a message for those at work, a tombstone for late starters, removal of the rest. */
export class Cancellation {
  private readonly remembered = new Set<string>();
  private readonly listeners = new Set<(requestId: string) => void>();
  /** Requests whose tombstone is being looked for. */
  private readonly lookups = new Map<string, Promise<boolean>>();
  private tombstones: Promise<KV> | undefined;

  constructor(private readonly connection: BusConnection) {
    const { nc, subjects } = connection;
    nc.subscribe(subjects.cancel(), {
      callback: (error, message) => {
        const requestId = message?.subject.split('.').at(-1);
        if (error === null && requestId !== undefined) this.remember(requestId);
      },
    });
    // A KV object is bound to its stream, which a restarted server may have lost.
    connection.onReconnect(() => {
      this.tombstones = undefined;
    });
  }

  /** Calls the listener with the id of each request that is cancelled from now on; returns how to stop that. */
  onCancel(listener: (requestId: string) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Whether this process has heard of the cancel. */
  knows(requestId: string): boolean {
    return this.remembered.has(requestId);
  }

  /** Whether the request was cancelled, by the tombstone if this process has not heard of it. */
  async isCancelled(requestId: string): Promise<boolean> {
    if (this.knows(requestId)) return true;
    let lookup = this.lookups.get(requestId);
    if (lookup === undefined) {
      lookup = this.lookUp(requestId).finally(() => this.lookups.delete(requestId));
      this.lookups.set(requestId, lookup);
    }
    return lookup;
  }

  private async lookUp(requestId: string): Promise<boolean> {
    try {
      const entry = await (await this.bucket()).get(checkRequestId(requestId));
      if (entry === null || entry.operation !== 'PUT') return false;
      this.remember(requestId);
      return true;
    } catch (reason) {
      // Better to do cancelled work than to stop all work because the tombstones are away.
      this.connection.log.warn({ error: messageOf(reason) }, 'the tombstones of cancelled requests cannot be read');
      return false;
    }
  }

  /** The message first, since it stops running work; the tombstone before the removal, so nothing slips between. */
  async cancel(requestId: string): Promise<void> {
    const { nc, subjects, log } = this.connection;
    nc.publish(subjects.cancel(requestId));
    this.remember(requestId);
    try {
      await (await this.bucket()).put(requestId, new Uint8Array(0));
    } catch (reason) {
      log.warn({ requestId, error: messageOf(reason) }, 'no tombstone was set; workers that start late do the work');
    }
    await Promise.all([this.removeJobs(requestId), this.removeProducts(requestId)]);
  }

  /** Removes what the stages have made for a request from the streams. */
  async removeProducts(requestId: string): Promise<void> {
    const { manager } = this.connection;
    await this.removeFrom(productKinds, requestId, (stream, filter) => manager.streams.purge(stream, { filter }));
  }

  /**
   * Removes a request's jobs from the queues, one by one: nats-server 2.9 answers a purge by subject by moving every
   * consumer whose filter covers the subject behind its last message, and the other requests' jobs would never be
   * delivered. (The streams of products are safe: each of their consumers reads one request.)
   */
  private async removeJobs(requestId: string): Promise<void> {
    const { manager } = this.connection;
    await this.removeFrom(jobKinds, requestId, async (stream, filter) => {
      for (let seq = 1; ; seq++) {
        const job = await manager.direct.getMessage(stream, { seq, next_by_subj: filter });
        if (job === null) return;
        seq = job.seq;
        // A worker may have ended the job in the meantime.
        await manager.streams.deleteMessage(stream, seq, false).catch(ignoreApiError);
      }
    });
  }

  /** What cannot be removed is no harm: it goes when it is old. */
  private async removeFrom(
    kinds: readonly StreamKind[],
    requestId: string,
    remove: (stream: string, filter: string) => Promise<unknown>,
  ): Promise<void> {
    const { subjects, log } = this.connection;
    const results = await Promise.allSettled(
      kinds.map((kind) => remove(subjects.stream(kind), subjects.requestFilter(kind, requestId))),
    );
    for (const result of results) {
      if (result.status === 'rejected') {
        log.warn({ requestId, error: messageOf(result.reason) }, 'messages of a request were not removed');
      }
    }
  }

  /**
   * Lets through what belongs to a request that goes on. A lookup that is under way is awaited, so nothing that a job
   * makes leaves the process before it is known that the job is wanted.
   * @throws TesseraError CANCELLED when this process knows that the request was cancelled
   */
  async refuseCancelled(requestId: string): Promise<void> {
    await this.lookups.get(requestId);
    if (this.knows(requestId)) throw new TesseraError('CANCELLED', 'the request was cancelled');
  }

  private remember(requestId: string): void {
    if (this.remembered.has(requestId)) return;
    this.remembered.add(requestId);
    if (this.remembered.size > maxRemembered) {
      const [oldest] = this.remembered;
      if (oldest !== undefined) this.remembered.delete(oldest);
    }
    for (const listener of [...this.listeners]) listener(requestId);
  }

  private bucket(): Promise<KV> {
    const { js, subjects } = this.connection;
    if (this.tombstones === undefined) {
      const opening = new Kvm(js).open(subjects.tombstoneBucket());
      this.tombstones = opening;
      opening.catch(() => {
        if (this.tombstones === opening) this.tombstones = undefined;
      });
    }
    return this.tombstones;
  }
}

function ignoreApiError(reason: unknown): void {
  if (!(reason instanceof JetStreamApiError)) throw reason;
}
