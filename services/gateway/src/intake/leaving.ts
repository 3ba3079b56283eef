import { setImmediate } from 'node:timers/promises';
import { sleep } from '@tessera/flow';

/** How long the word that a client left may come after the end of its stream: so many pauses of so many milliseconds. */
const pauses = 15;
const pauseMs = 20;

/**
 * To be awaited where a stream ends too early, before saying so: HTTP/2 clients that leave end their side first, and
 * reset the stream a moment later. In several pauses, and with a look at the network after each: on a busy machine a timer
 * fires before what came in the meantime is read.
 * @throws the signal's reason when the client has left
 */
export async function unlessLeaving(signal: AbortSignal): Promise<void> {
  for (let pause = 0; pause < pauses; pause++) {
    await sleep(pauseMs, signal);
    await setImmediate();
  }
  signal.throwIfAborted();
}
