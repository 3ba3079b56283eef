import type { Cores, Task } from './cores.js';

/** Steps that are alike, one after the other. */
export interface Steps {
  readonly count: number;
  /** Of each. */
  readonly ms: number;
  /** What others have to do for each step meanwhile, in milliseconds of a core. */
  readonly besideMs: number;
}

export interface StepLoopOptions {
  readonly cores: Cores;
  /** What there is to do now; undefined for nothing. */
  plan(): Steps | undefined;
  /** So many steps of what was planned last were done. */
  done(count: number): void;
  /** So many threads more are at work beside the loop, or fewer. */
  beside(threads: number): void;
}

/**
 * A loop that computes step after step, as an engine's and a sampler's does. As many steps as nothing can change in are one
 * event, which is cut short, at the end of the step under way, by whoever brings a change.
 */
export class StepLoop {
  #task: Task | undefined;
  #steps: Steps = { count: 0, ms: 0, besideMs: 0 };
  #planned = 0;

  constructor(private readonly options: StepLoopOptions) {}

  get isIdle(): boolean {
    return this.#task === undefined;
  }

  /** There is something new: it counts from the next step on. */
  wake(): void {
    const task = this.#task;
    if (task === undefined) {
      this.#begin();
      return;
    }
    const { ms } = this.#steps;
    if (this.#planned === 1 || ms === 0) return;
    const doneMs = this.#planned * ms - task.left();
    const count = Math.min(this.#planned, Math.floor(doneMs / ms + 1e-9) + 1);
    if (count === this.#planned) return;
    this.#planned = count;
    task.shorten(count * ms - doneMs);
  }

  #begin(): void {
    const { cores, plan, done, beside } = this.options;
    const steps = plan();
    if (steps === undefined) return;
    this.#steps = steps;
    this.#planned = steps.count;
    const threads = steps.ms > 0 ? steps.besideMs / steps.ms : 0;
    if (threads > 0) beside(threads);
    this.#task = cores.run(steps.count * steps.ms, () => {
      if (threads > 0) beside(-threads);
      const count = this.#planned;
      // Whoever is woken by what is done finds nothing to cut short, and is planned for below.
      this.#planned = 1;
      done(count);
      this.#task = undefined;
      this.#begin();
    });
  }
}
