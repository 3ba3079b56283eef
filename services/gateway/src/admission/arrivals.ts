/**
 * Calls that have come and are not decided on: they take a place until then, so that of a burst only as many are begun
 * as there is room for. One that says nothing takes its place for `lapseMs` only, and keeps nobody else out after that.
 */
export class Arrivals {
  /** When each came, on the monotonic clock; the oldest first. */
  private readonly open = new Set<{ readonly atMs: number }>();

  constructor(private readonly lapseMs: number) {}

  /** Calls that count. */
  count(nowMs = performance.now()): number {
    for (const arrival of this.open) {
      if (nowMs - arrival.atMs <= this.lapseMs) break;
      this.open.delete(arrival);
    }
    return this.open.size;
  }

  /** A call has come. Dispose of what it returns when it is decided on, or gone. */
  enter(nowMs = performance.now()): Disposable {
    const arrival = { atMs: nowMs };
    this.open.add(arrival);
    return { [Symbol.dispose]: () => void this.open.delete(arrival) };
  }
}
