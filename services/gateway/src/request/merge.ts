/**
 * Merges async iterables into one, in order of arrival. At most one item of each source is held, so a slow reader slows
 * every source down. Sources may be added while it runs; it ends when all have ended. Leaving it early, or an error in
 * one source, closes the others.
 */
export class Merge<T> implements AsyncIterable<T> {
  private readonly pending = new Map<
    AsyncIterator<T>,
    Promise<{ from: AsyncIterator<T>; result: IteratorResult<T> }>
  >();

  add(source: AsyncIterable<T>): void {
    this.pull(source[Symbol.asyncIterator]());
  }

  private pull(from: AsyncIterator<T>): void {
    const next = from.next().then((result) => ({ from, result }));
    // A source that fails while another one's item is being handled is looked at in the next turn, not unhandled.
    next.catch(() => undefined);
    this.pending.set(from, next);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    // The source whose item the reader has: it is not pending, and must be closed all the same.
    let given: AsyncIterator<T> | undefined;
    try {
      while (this.pending.size > 0) {
        const { from, result } = await Promise.race(this.pending.values());
        this.pending.delete(from);
        if (result.done === true) continue;
        given = from;
        yield result.value;
        given = undefined;
        this.pull(from);
      }
    } finally {
      const open = [...this.pending.keys(), ...(given === undefined ? [] : [given])];
      this.pending.clear();
      // Not awaited: a generator that is waiting inside next() ends only when its signal is aborted.
      for (const source of open) source.return?.().catch(() => undefined);
    }
  }
}
