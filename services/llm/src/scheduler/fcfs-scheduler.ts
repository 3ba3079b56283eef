import type { Schedulable, Scheduler, SchedulerLimits, StepPlan } from './scheduler.js';

/**
 * First come, first served, with decode before prefill: running answers never stall behind a new prompt, which gets
 * the rest of the step's budget.
 *
 * A sequence whose tiles are still being made may take a slot and prefill up to the first missing one, so that encoding
 * and prefill overlap. But a quarter of the slots is kept for sequences that have everything, so that waiting for an
 * encoder never keeps others from being answered.
 */
export class FcfsScheduler<S extends Schedulable> implements Scheduler<S> {
  readonly #limits: SchedulerLimits;
  readonly #running: S[] = [];
  readonly #waiting: S[] = [];

  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get isFull(): boolean {
    return this.running + this.waiting >= this.#limits.maxRunning + this.#limits.maxWaiting;
  }

  add(sequence: S): void {
    this.#waiting.push(sequence);
  }

  remove(sequence: S): void {
    for (const list of [this.#running, this.#waiting]) {
      const index = list.indexOf(sequence);
      if (index >= 0) list.splice(index, 1);
    }
  }

  plan(): StepPlan<S> {
    const admitted = this.#admit();
    const decode = this.#running.filter(({ isDecoding }) => isDecoding);
    const prefill: { sequence: S; count: number }[] = [];
    let budget = this.#limits.maxStepTokens - decode.length;
    for (const sequence of this.#running) {
      if (sequence.isDecoding) continue;
      const ready = sequence.readyTokens - sequence.cachedTokens;
      const count = Math.min(ready, budget, this.#limits.maxChunkTokens);
      if (count <= 0) continue;
      prefill.push({ sequence, count });
      budget -= count;
    }
    return { admitted, decode, prefill };
  }

  #admit(): S[] {
    const { maxRunning } = this.#limits;
    const incomplete = (sequence: S): boolean => sequence.readyTokens < sequence.promptTokens;
    const maxIncomplete = maxRunning - Math.ceil(maxRunning / 4);
    let incompleteCount = this.#running.filter(incomplete).length;
    const admitted: S[] = [];
    for (const sequence of this.#waiting) {
      if (this.#running.length + admitted.length >= maxRunning) break;
      if (incomplete(sequence)) {
        // One that could compute nothing yet is better off without a slot.
        if (sequence.readyTokens === 0 || incompleteCount >= maxIncomplete) continue;
        incompleteCount++;
      }
      admitted.push(sequence);
    }
    for (const sequence of admitted) {
      this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
      this.#running.push(sequence);
    }
    return admitted;
  }
}
