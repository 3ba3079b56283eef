import { sleep } from '@tessera/flow';

const firstPauseMs = 25;
const maxPauseMs = 1000;

/** One publisher's leave to try. */
export interface Turn extends Disposable {
  /** Waits for this publisher's turn to try. @throws the signal's reason */
  next(signal: AbortSignal): Promise<void>;
  /** There was room: whoever is next may try at once. */
  accepted(): void;
  /** The stream is still, or now, full: this publisher goes on waiting with `next`. */
  refused(): void;
}

/**
 * What keeps the publishers of one process from storming a stream that is full: they stand in line, the first of them tries
 * again with a growing pause, and each one that found room lets the next try at once. With nobody in line all go freely.
 */
export class StreamGate {
  /** The line; the first in it is the one that tries. */
  private readonly line: { wake(): void }[] = [];
  private refusals = 0;

  /** Publishers that wait because the stream is full. */
  get size(): number {
    return this.line.length;
  }

  /** Enters; dispose of what is returned. */
  enter(): Turn {
    let wake: () => void = () => {};
    const place = { wake: () => wake() };
    let placed = false;
    const leave = (): void => {
      if (!placed) return;
      placed = false;
      const at = this.line.indexOf(place);
      this.line.splice(at, 1);
      if (at === 0) this.line[0]?.wake();
    };
    return {
      next: async (signal) => {
        if (!placed && this.line.length === 0) return;
        if (!placed) {
          placed = true;
          this.line.push(place);
        }
        while (this.line[0] !== place) {
          signal.throwIfAborted();
          await new Promise<void>((resolve, reject) => {
            const onAbort = (): void => reject(signal.reason);
            signal.addEventListener('abort', onAbort, { once: true });
            wake = () => {
              signal.removeEventListener('abort', onAbort);
              resolve();
            };
          });
        }
        if (this.refusals === 0) return;
        const pauseMs = Math.min(maxPauseMs, firstPauseMs * 2 ** Math.min(this.refusals - 1, 10));
        // Spread over the processes that were refused at the same moment.
        await sleep(pauseMs * (0.5 + Math.random()), signal);
      },
      accepted: () => {
        this.refusals = 0;
        leave();
      },
      refused: () => {
        if (!placed) {
          placed = true;
          this.line.push(place);
        }
        if (this.line[0] === place) this.refusals++;
      },
      [Symbol.dispose]: leave,
    };
  }
}
