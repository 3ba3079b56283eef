import type { JobKind } from '@tessera/protocol';

/** So often in a row a queue is found unattended before it counts: a worker may just be connecting again. */
const enoughLooks = 2;

/** Which queues nobody takes jobs from: their stage is scaled to zero, still starting, or gone. */
export class QueueAttendance {
  private readonly misses = new Map<JobKind, number>();
  private readonly absent = new Set<JobKind>();
  private readonly listeners = new Set<() => void>();

  /** Takes in which queues nobody was found at. */
  sampled(unattended: ReadonlySet<JobKind>): void {
    const before = [...this.absent];
    for (const kind of unattended) {
      const misses = (this.misses.get(kind) ?? 0) + 1;
      this.misses.set(kind, misses);
      if (misses >= enoughLooks) this.absent.add(kind);
    }
    for (const kind of [...this.misses.keys()]) {
      if (unattended.has(kind)) continue;
      this.misses.delete(kind);
      this.absent.delete(kind);
    }
    if (before.length === this.absent.size && before.every((kind) => this.absent.has(kind))) return;
    for (const listener of this.listeners) listener();
  }

  /** Whether nobody takes a queue's jobs. */
  isUnattended(kind: JobKind): boolean {
    return this.absent.has(kind);
  }

  /** Whether every queue has somebody. */
  get isComplete(): boolean {
    return this.absent.size === 0;
  }

  /** Calls the listener when a queue is deserted or attended again; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
