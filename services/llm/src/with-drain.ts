/** The events of a stream, and once `'drain'` among them when the signal aborts while it runs. */
export async function* withDrain<T>(events: AsyncIterable<T>, drain: AbortSignal): AsyncGenerator<T | 'drain'> {
  const iterator = events[Symbol.asyncIterator]();
  let onDrain: (() => void) | undefined;
  let drained: Promise<'drain'> | undefined = new Promise((resolve) => {
    onDrain = () => resolve('drain');
    if (drain.aborted) onDrain();
    drain.addEventListener('abort', onDrain, { once: true });
  });
  try {
    let next = iterator.next();
    for (;;) {
      const first = await (drained === undefined ? next : Promise.race([drained, next]));
      if (first === 'drain') {
        drained = undefined;
        yield 'drain';
      } else if (first.done) {
        return;
      } else {
        yield first.value;
        next = iterator.next();
      }
    }
  } finally {
    if (onDrain !== undefined) drain.removeEventListener('abort', onDrain);
    await iterator.return?.();
  }
}
