/** One who waits. */
export interface LinePlace {
  /** What he does not want, as long as there is something else. */
  readonly avoid: ReadonlySet<string>;
  /** Served before those who are not. */
  readonly first: boolean;
}

interface Waiter<T, P extends LinePlace> {
  readonly place: P;
  take(thing: T): void;
}

/** A timer takes no longer delay. */
const maxTimerMs = 2 ** 31 - 1;

/** Those who wait for something, in order: first those who come first, and among equals who came earlier. */
export class WaitingLine<T, P extends LinePlace = LinePlace> {
  private readonly first = new Set<Waiter<T, P>>();
  private readonly others = new Set<Waiter<T, P>>();

  get length(): number {
    return this.first.size + this.others.size;
  }

  /** Waits for an offer. @returns undefined when the time is over. @throws the signal's reason */
  async wait(place: P, waitMs: number, signal: AbortSignal): Promise<T | undefined> {
    signal.throwIfAborted();
    const queue = place.first ? this.first : this.others;
    return await new Promise<T | undefined>((resolve, reject) => {
      const leave = (): void => {
        queue.delete(waiter);
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        leave();
        reject(signal.reason);
      };
      const timer = setTimeout(
        () => {
          leave();
          resolve(undefined);
        },
        Math.min(waitMs, maxTimerMs),
      );
      signal.addEventListener('abort', onAbort, { once: true });
      const waiter: Waiter<T, P> = {
        place,
        take(thing) {
          leave();
          resolve(thing);
        },
      };
      queue.add(waiter);
    });
  }

  /** Asks for each who waits, in order, what there is for him. */
  offer(give: (place: P) => T | undefined): void {
    for (const queue of [this.first, this.others]) {
      for (const waiter of queue) {
        const thing = give(waiter.place);
        if (thing !== undefined) waiter.take(thing);
        // Who is no exception is told the same as those behind him.
        else if (waiter.place.avoid.size === 0) break;
      }
    }
  }
}
