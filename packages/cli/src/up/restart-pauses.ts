/** A process that ran this long before it ended begins anew with its restarts. */
const steadyMs = 10_000;

/** Pauses before the restarts of a process that fails again and again; when they are used up, it is given up. */
const pausesMs = [0, 250, 500, 1000, 2000, 4000, 4000, 4000, 4000, 4000];

/**
 * How long to wait before a process is started again: not at all after it has run well, so that who needs it finds it
 * soon; longer with each quick failure, and never so long that requests which wait for an engine lose patience.
 */
export class RestartPauses {
  #failures = 0;

  /** How often in a row it has failed quickly. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * @param ranMs how long the process did its work before it ended; 0 when it never came to it
   * @returns milliseconds; undefined when it is not worth trying any more
   */
  next(ranMs: number): number | undefined {
    if (ranMs >= steadyMs) this.#failures = 0;
    return pausesMs[this.#failures++];
  }
}
