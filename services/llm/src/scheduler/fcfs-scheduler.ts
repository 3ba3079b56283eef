import type { CacheRoom, Schedulable, Scheduler, SchedulerLimits, SlotAssignment, StepSchedule } from './scheduler.js';

/**
 * First come, first served, with decode before prefill: running answers never stall behind a new prompt, which gets
 * the rest of the step's budget. A sequence that was taken over goes before those that come new.
 *
 * A sequence whose tiles are still being made takes a slot that nobody else needs and prefills up to the first missing
 * one, so that encoding and prefill overlap. It gives the slot up as soon as one that has everything needs it, and then
 * waits without. So the encoder's trouble is that of pictures alone: neither slots nor places to wait are held by them.
 *
 * A slot is given only where the cache has room for all that the sequences with slots can come to: an answer that was
 * begun is never short of memory. The first that finds none is waited for; who comes later does not pass it.
 */
export class FcfsScheduler<S extends Schedulable> implements Scheduler<S> {
  readonly #limits: SchedulerLimits;
  readonly #hasRoom: CacheRoom;
  readonly #running: S[] = [];
  readonly #waiting: S[] = [];
  /** Those that lost their slot: they get another once they have everything, so that none is computed ever again. */
  readonly #displaced = new Set<S>();

  constructor(limits: SchedulerLimits, hasRoom: CacheRoom) {
    this.#limits = limits;
    this.#hasRoom = hasRoom;
  }

  get running(): number {
    return this.#running.length;
  }

  get waiting(): number {
    return count(this.#waiting, hasEverything);
  }

  get waitingForTiles(): number {
    return this.#waiting.length - this.waiting;
  }

  fullFor(sequence: S): string | undefined {
    const { maxRunning, maxWaiting, maxWaitingForTiles, maxTakeovers } = this.#limits;
    if (sequence.isTakeover) {
      const takeovers = count(this.#waiting, ({ isTakeover }) => isTakeover);
      return takeovers < maxTakeovers ? undefined : `${takeovers} sequences taken over from other engines waiting`;
    }
    const complete = count(this.#running, hasEverything) + this.waiting;
    if (complete >= maxRunning + maxWaiting) return `${maxRunning} sequences running and ${maxWaiting} waiting`;
    if (hasEverything(sequence)) return undefined;
    const incomplete = this.running + this.#waiting.length - complete;
    return incomplete < maxWaitingForTiles ? undefined : `${incomplete} sequences waiting for visual tokens`;
  }

  add(sequence: S): void {
    if (sequence.isTakeover) this.#waiting.splice(this.#firstNewcomer(), 0, sequence);
    else this.#waiting.push(sequence);
  }

  remove(sequence: S): void {
    this.#displaced.delete(sequence);
    for (const list of [this.#running, this.#waiting]) {
      const index = list.indexOf(sequence);
      if (index >= 0) list.splice(index, 1);
    }
  }

  assignSlots(): SlotAssignment<S> {
    const admitted: S[] = [];
    const displaced: S[] = [];
    const admit = (sequence: S): void => {
      this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
      this.#running.push(sequence);
      admitted.push(sequence);
    };
    for (const sequence of this.#waiting.filter(hasEverything)) {
      while (!this.#hasSlotFor(sequence)) {
        const victim = this.#leastComputed();
        if (victim === undefined) return { admitted, displaced };
        this.#displace(victim);
        displaced.push(victim);
      }
      admit(sequence);
    }
    for (const sequence of this.#waiting.filter((waiting) => !hasEverything(waiting))) {
      // One that could compute nothing yet is better off without a slot.
      if (sequence.readyTokens === 0 || this.#displaced.has(sequence)) continue;
      if (this.#hasSlotFor(sequence)) admit(sequence);
    }
    return { admitted, displaced };
  }

  plan(): StepSchedule<S> {
    const decode = this.#running.filter(({ isDecoding }) => isDecoding);
    const prefill: { sequence: S; count: number }[] = [];
    let budget = this.#limits.maxStepTokens - decode.length;
    for (const sequence of this.#running) {
      if (sequence.isDecoding) continue;
      const ready = sequence.readyTokens - sequence.cachedTokens;
      const tokens = Math.min(ready, budget, this.#limits.maxChunkTokens);
      if (tokens <= 0) continue;
      prefill.push({ sequence, count: tokens });
      budget -= tokens;
    }
    return { decode, prefill };
  }

  #hasSlotFor(sequence: S): boolean {
    const count = this.#running.length + 1;
    const longest = this.#running.reduce((most, { maxTokens }) => Math.max(most, maxTokens), sequence.maxTokens);
    return count <= this.#limits.maxRunning && this.#hasRoom(count, longest);
  }

  /** Of those with a slot that wait for tiles, the one that loses the least with it. */
  #leastComputed(): S | undefined {
    return this.#running
      .filter((sequence) => !hasEverything(sequence))
      .reduce<S | undefined>(
        (least, sequence) => (least === undefined || sequence.cachedTokens < least.cachedTokens ? sequence : least),
        undefined,
      );
  }

  #displace(sequence: S): void {
    this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#displaced.add(sequence);
    // It came before all that wait, but for those that were taken over.
    this.#waiting.splice(sequence.isTakeover ? 0 : this.#firstNewcomer(), 0, sequence);
  }

  #firstNewcomer(): number {
    const index = this.#waiting.findIndex(({ isTakeover }) => !isTakeover);
    return index < 0 ? this.#waiting.length : index;
  }
}

/** Whether its tiles are all there. */
function hasEverything({ readyTokens, promptTokens }: Schedulable): boolean {
  return readyTokens >= promptTokens;
}

function count<S>(sequences: readonly S[], condition: (sequence: S) => boolean): number {
  return sequences.reduce((sum, sequence) => sum + (condition(sequence) ? 1 : 0), 0);
}
