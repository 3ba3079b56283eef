import { sleep } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';

/** Pauses between attempts to reach NATS; the last one goes on. */
const retryDelaysMs = [100, 250, 500, 1000, 2000];

export interface Patience {
  /** How long it is waited for. */
  readonly waitMs: number;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Called once, when the first attempt has failed. */
  onWaiting(reason: string): void;
}

/**
 * Tries until NATS answers.
 * @throws TesseraError what the attempt threw last: STAGE_UNAVAILABLE when NATS did not answer in time, or at once what no
 * waiting helps; the signal's reason
 */
export async function untilNatsAnswers<T>(
  attempt: () => Promise<T>,
  { waitMs, signal, onWaiting }: Patience,
): Promise<T> {
  const giveUpAt = performance.now() + waitMs;
  for (let failed = 0; ; failed++) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (reason) {
      const delayMs = retryDelaysMs[Math.min(failed, retryDelaysMs.length - 1)] as number;
      const isAway = reason instanceof TesseraError && reason.code === 'STAGE_UNAVAILABLE';
      if (!isAway || performance.now() + delayMs > giveUpAt) throw reason;
      if (failed === 0) onWaiting(reason.message);
      await sleep(delayMs, signal);
    }
  }
}
