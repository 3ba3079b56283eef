import { abortable } from './abort.js';

/** The source's items until the signal aborts, and then an end instead of an error. */
export async function* untilAborted<Item>(source: AsyncIterable<Item>, signal: AbortSignal): AsyncGenerator<Item> {
  const iterator = source[Symbol.asyncIterator]();
  for (;;) {
    if (signal.aborted) return;
    let step: IteratorResult<Item>;
    try {
      step = await abortable(iterator.next(), signal);
    } catch (reason) {
      if (signal.aborted && reason === signal.reason) return;
      throw reason;
    }
    if (step.done) return;
    yield step.value;
  }
}
