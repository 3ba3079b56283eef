import { TesseraError } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';

/** How many cancelled requests a process remembers by itself; the tombstones know the others. */
const maxRemembered = 4096;

/**
 * Ends requests everywhere: a message for those at work, a tombstone for late starters. What still lies in a queue is thrown
 * away by the worker that pulls it, and what still comes by whoever it is addressed to.
 */
export class Cancellation {
  private readonly remembered = new Set<string>();
  private readonly listeners = new Set<(requestId: string) => void>();
  /** Requests whose tombstone is being looked for. */
  private readonly lookups = new Map<string, Promise<boolean>>();

  constructor(private readonly connection: BusConnection) {
    const { nc, subjects } = connection;
    nc.subscribe(subjects.cancel(), {
      callback: (error, message) => {
        // With an error, as where this user may not hear them, there is no message.
        const requestId = error === null ? message.subject.split('.').at(-1) : undefined;
        if (requestId !== undefined) this.remember(requestId);
      },
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
    const { manager, subjects, log } = this.connection;
    try {
      const last = { last_by_subj: subjects.tombstone(requestId) };
      if ((await manager.direct.getMessage(subjects.tombstones(), last)) === null) return false;
      this.remember(requestId);
      return true;
    } catch (reason) {
      // Better to do cancelled work than to stop all work because the tombstones are away.
      log.warn({ error: messageOf(reason) }, 'the tombstones of cancelled requests cannot be read');
      return false;
    }
  }

  /** The message first, since it stops running work. */
  async cancel(requestId: string): Promise<void> {
    const { nc, js, subjects, log } = this.connection;
    nc.publish(subjects.cancel(requestId));
    this.remember(requestId);
    try {
      await js.publish(subjects.tombstone(requestId), new Uint8Array(0));
    } catch (reason) {
      log.warn({ requestId, error: messageOf(reason) }, 'no tombstone was set; workers that start late do the work');
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
}
