import { type KV, Kvm } from '@nats-io/kv';
import { checkRequestId, type StreamKind, streamKinds, TesseraError } from '@tessera/protocol';
import type { BusConnection } from './bus-connection.js';
import { messageOf } from './bus-connection.js';

/** How many cancelled requests a process remembers by itself; the tombstones know the others. */
const maxRemembered = 4096;

/** Ends requests everywhere: a message for those at work, a tombstone for those that start late, a purge of the rest. */
export class Cancellation {
  private readonly remembered = new Set<string>();
  private readonly listeners = new Set<(requestId: string) => void>();
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

  /** The message first, since it stops running work; the tombstone before the purge, so nothing slips between. */
  async cancel(requestId: string): Promise<void> {
    const { nc, subjects, log } = this.connection;
    nc.publish(subjects.cancel(requestId));
    this.remember(requestId);
    try {
      await (await this.bucket()).put(requestId, new Uint8Array(0));
    } catch (reason) {
      log.warn({ requestId, error: messageOf(reason) }, 'no tombstone was set; workers that start late do the work');
    }
    await this.purge(requestId, streamKinds);
  }

  /** Removes a request's messages from the streams. */
  async purge(requestId: string, kinds: readonly StreamKind[]): Promise<void> {
    const { manager, subjects, log } = this.connection;
    const results = await Promise.allSettled(
      kinds.map((kind) =>
        manager.streams.purge(subjects.stream(kind), { filter: subjects.requestFilter(kind, requestId) }),
      ),
    );
    for (const result of results) {
      if (result.status === 'rejected') {
        log.warn({ requestId, error: messageOf(result.reason) }, 'messages were not purged; they go when they are old');
      }
    }
  }

  /** @throws TesseraError CANCELLED when this process knows that the request was cancelled */
  refuseCancelled(requestId: string): void {
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
