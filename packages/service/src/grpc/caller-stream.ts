import { abortable } from '@tessera/flow';
import { type PauseOptions, withinPause } from './within-pause.js';

export interface CallerStreamOptions extends PauseOptions {
  /** Once aborted, the service waits for no further message. */
  readonly drain: AbortSignal;
}

/**
 * What a caller streams to a service that holds a place for it: neither its silence nor a drain lets it hold that for ever.
 * @throws TesseraError REQUEST_STALLED after too long a pause; DRAINING; the signal's reason
 */
export async function* callerStream<T>(requests: AsyncIterable<T>, options: CallerStreamOptions): AsyncGenerator<T> {
  const { drain, ...pause } = options;
  const incoming = requests[Symbol.asyncIterator]();
  for (;;) {
    const next = await withinPause(abortable(incoming.next(), drain), pause);
    if (next.done === true) return;
    yield next.value;
  }
}
