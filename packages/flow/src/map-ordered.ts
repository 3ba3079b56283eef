import { linkedAbort } from './linked-abort.js';

/**
 * Maps with up to `limit` calls under way, and yields the results in the order of the source: a slow one holds back those
 * behind it, and the source is not read further than the limit. When one fails, those before it are still yielded. When the
 * consumer stops, the signal that `work` was given aborts.
 */
export async function* mapOrdered<Item, Result>(
  source: AsyncIterable<Item> | Iterable<Item>,
  limit: number,
  signal: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): AsyncGenerator<Result> {
  using stop = linkedAbort(signal);
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  type Outcome = { readonly done: false; readonly result: Promise<Result> } | { readonly done: true };
  const pending: Promise<Outcome>[] = [];
  let last: Promise<unknown> = Promise.resolve();
  let ended = false;

  const pull = (): Promise<Outcome> => {
    // One `next` at a time, whatever the source tolerates.
    const outcome = last.then(async (): Promise<Outcome> => {
      if (ended) return { done: true };
      try {
        const step = await iterator.next();
        if (step.done) {
          ended = true;
          return { done: true };
        }
        const result = work(step.value, stop.signal);
        // It is awaited below, maybe much later: until then a failure is no unhandled one.
        result.catch(() => {});
        return { done: false, result };
      } catch (reason) {
        ended = true;
        throw reason;
      }
    });
    last = outcome.catch(() => {});
    return outcome;
  };

  try {
    for (;;) {
      while (pending.length < limit && !ended) {
        const outcome = pull();
        outcome.catch(() => {});
        pending.push(outcome);
      }
      const next = pending.shift();
      if (next === undefined) return;
      const outcome = await next;
      if (!outcome.done) yield await outcome.result;
    }
  } finally {
    ended = true;
    stop.abort(new DOMException('nobody takes the results any more', 'AbortError'));
    // Not awaited: a source that waits for its client would hold the consumer back.
    void Promise.resolve(iterator.return?.(undefined)).catch(() => {});
  }
}
