import { setTimeout as pause } from 'node:timers/promises';
import { TesseraError } from '@tessera/protocol';

/** Services that are up take work within seconds, when the others are up too. */
const patienceMs = 60_000;
const pauseMs = 100;
const answerMs = 5000;

/**
 * Waits until a service takes work, which may need others besides itself, or until all of it ends.
 * @param metrics host:port of its HTTP server
 * @throws TesseraError STAGE_UNAVAILABLE with what it waits for; what `ended` rejects with
 */
export async function awaitWork(name: string, metrics: string, ended: Promise<void>): Promise<void> {
  const givenUpMs = performance.now() + patienceMs;
  let isOver = false;
  const over = ended.finally(() => {
    isOver = true;
  });
  over.catch(() => undefined);
  let last = 'it does not answer';
  while (performance.now() < givenUpMs) {
    const answer = await fetch(`http://${metrics}/readyz`, { signal: AbortSignal.timeout(answerMs) }).catch(
      () => undefined,
    );
    if (answer?.ok === true || isOver) return;
    last = (await answer?.text().catch(() => undefined)) ?? last;
    await Promise.race([over, pause(pauseMs)]);
  }
  throw new TesseraError('STAGE_UNAVAILABLE', `${name} takes no work: ${last.trim()}`);
}
