import { FairShare } from './fair-share.js';
import type { CacheRoom, Schedulable, Scheduler, SchedulerLimits, SlotAssignment, StepSchedule } from './scheduler.js';

/**
 * Decode before prefill: running answers never stall behind a new prompt, which gets the rest of the step's budget. What
 * was taken over goes before what comes new, a higher priority before a lower one; then the client comes next that got the
 * least so far, and of one client's sequences the one that came first.
 *
 * A sequence gives up its slot to one of a higher priority that finds none. What it has computed may stay in the cache;
 * what does not is computed again.
 *
 * A sequence whose tiles are still being made takes a slot that nobody else needs and prefills up to the first missing
 * one, so that encoding and prefill overlap. It gives the slot up as soon as one that has everything needs it, and then
 * waits without. So the encoder's trouble is that of pictures alone: neither slots nor places to wait are held by them.
 *
 * A slot is given only where the cache has room for all that the sequences with slots can come to: an answer that was
 * begun is never short of memory. The first that finds none is waited for; who comes later does not pass it.
 */
export class FairScheduler<S extends Schedulable> implements Scheduler<S> {
  readonly #limits: SchedulerLimits;
  readonly #hasRoom: CacheRoom;
  readonly #share = new FairShare();
  readonly #running: S[] = [];
  /** In the order in which they came; those that lost a slot came before those that have had none. */
  readonly #waiting: S[] = [];
  /** Those that lost their slot for want of tiles: they get another once they have all, so that none is computed ever again. */
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
    this.#share.enter(sequence.client);
    this.#waiting.push(sequence);
  }

  remove(sequence: S): void {
    this.#displaced.delete(sequence);
    for (const list of [this.#running, this.#waiting]) {
      const index = list.indexOf(sequence);
      if (index < 0) continue;
      list.splice(index, 1);
      this.#share.leave(sequence.client);
    }
  }

  assignSlots(): SlotAssignment<S> {
    const admitted: S[] = [];
    const displaced: S[] = [];
    const admit = (sequence: S): void => {
      this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
      this.#running.push(sequence);
      this.#displaced.delete(sequence);
      admitted.push(sequence);
    };
    for (const sequence of this.#inOrder(hasEverything)) {
      while (!this.#hasSlotFor(sequence)) {
        const victim = this.#victimFor(sequence);
        if (victim === undefined) return { admitted, displaced };
        this.#displace(victim);
        displaced.push(victim);
      }
      admit(sequence);
    }
    for (const sequence of this.#inOrder((waiting) => !hasEverything(waiting))) {
      // One that could compute nothing yet is better off without a slot.
      if (sequence.readyTokens === 0 || this.#displaced.has(sequence)) continue;
      if (this.#hasSlotFor(sequence)) admit(sequence);
    }
    return { admitted, displaced };
  }

  plan(): StepSchedule<S> {
    const decode = this.#running.filter(({ isDecoding }) => isDecoding);
    for (const { client } of decode) this.#share.decoded(client);
    const prefill: { sequence: S; count: number }[] = [];
    let budget = this.#limits.maxStepTokens - decode.length;
    // Those of one priority in the order in which they got their slots: one that was begun is completed first.
    const prompts = this.#running.filter(({ isDecoding }) => !isDecoding).sort((a, b) => b.priority - a.priority);
    for (const sequence of prompts) {
      const ready = sequence.readyTokens - sequence.cachedTokens;
      const tokens = Math.min(ready, budget, this.#limits.maxChunkTokens);
      if (tokens <= 0) continue;
      prefill.push({ sequence, count: tokens });
      this.#share.prefilled(sequence.client, tokens);
      budget -= tokens;
    }
    return { decode, prefill };
  }

  #hasSlotFor(sequence: S): boolean {
    const count = this.#running.length + 1;
    const longest = this.#running.reduce((most, { maxTokens }) => Math.max(most, maxTokens), sequence.maxTokens);
    return count <= this.#limits.maxRunning && this.#hasRoom(count, longest);
  }

  /** Those that wait, the one first that is to be served first. The sort keeps the order of those that are alike. */
  #inOrder(condition: (sequence: S) => boolean): S[] {
    return this.#waiting
      .filter(condition)
      .sort(
        (a, b) =>
          Number(b.isTakeover) - Number(a.isTakeover) ||
          b.priority - a.priority ||
          this.#share.servedOf(a.client) - this.#share.servedOf(b.client),
      );
  }

  /** Who gives its slot up: one that waits for tiles, or one of a lower priority; of those the one that loses the least. */
  #victimFor(sequence: S): S | undefined {
    const idle = this.#running.filter((other) => !hasEverything(other) && other.priority <= sequence.priority);
    const lower = this.#running.filter(({ priority }) => priority < sequence.priority);
    const lowest = lower.reduce((least, { priority }) => Math.min(least, priority), Number.POSITIVE_INFINITY);
    return leastComputed(idle) ?? leastComputed(lower.filter(({ priority }) => priority === lowest));
  }

  #displace(sequence: S): void {
    this.#running.splice(this.#running.indexOf(sequence), 1);
    if (!hasEverything(sequence)) this.#displaced.add(sequence);
    this.#waiting.unshift(sequence);
  }
}

/** Whether its tiles are all there. */
function hasEverything({ readyTokens, promptTokens }: Schedulable): boolean {
  return readyTokens >= promptTokens;
}

function leastComputed<S extends Schedulable>(sequences: readonly S[]): S | undefined {
  return sequences.reduce<S | undefined>(
    (least, sequence) => (least === undefined || sequence.cachedTokens < least.cachedTokens ? sequence : least),
    undefined,
  );
}

function count<S>(sequences: readonly S[], condition: (sequence: S) => boolean): number {
  return sequences.reduce((sum, sequence) => sum + (condition(sequence) ? 1 : 0), 0);
}
