import { sleep } from '@tessera/runtime';

/** How long the word that a client left may come after the end of its stream, in milliseconds. */
const leavingMs = 100;

/**
 * To be awaited where a stream ends too early, before saying so: HTTP/2 clients that leave end their side first, and
 * reset the stream a moment later.
 * @throws the signal's reason when the client has left
 */
export async function unlessLeaving(signal: AbortSignal): Promise<void> {
  await sleep(leavingMs, signal);
}
