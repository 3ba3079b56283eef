import { FairShare } from './fair-share.js';
import type {
  CacheRoom,
  Schedulable,
  Scheduler,
  SchedulerLimits,
  SlotAssignment,
  StepPart,
  StepSchedule,
} from './scheduler.js';

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
    const running = this.#running.indexOf(sequence);
    if (running >= 0) this.#running.splice(running, 1);
    const waiting = this.#waiting.indexOf(sequence);
    if (waiting < 0) return;
    this.#waiting.splice(waiting, 1);
    this.#share.leave(sequence.client);
  }

  assignSlots(): SlotAssignment<S> {
    const admitted: S[] = [];
    const displaced: S[] = [];
    const admit = (sequence: S): void => {
      this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
      this.#share.leave(sequence.client);
      this.#running.push(sequence);
      this.#displaced.delete(sequence);
      admitted.push(sequence);
    };
    let isHeld = false;
    for (const sequence of this.#inOrder(hasEverything)) {
      // Once one waits for room, those behind it get none but what they may take from others.
      const victims = isHeld || !this.#hasSlotFor(sequence) ? this.#victimsFor(sequence, admitted) : [];
      if (victims === undefined) {
        isHeld = true;
        continue;
      }
      for (const victim of victims) this.#displace(victim);
      displaced.push(...victims);
      admit(sequence);
    }
    if (isHeld) return { admitted, displaced };
    for (const sequence of this.#inOrder((waiting) => !hasEverything(waiting))) {
      // One that could compute nothing yet is better off without a slot.
      if (sequence.readyTokens === 0 || this.#displaced.has(sequence)) continue;
      if (this.#hasSlotFor(sequence)) admit(sequence);
    }
    return { admitted, displaced };
  }

  displaceAll(): readonly S[] {
    const displaced = this.#running.splice(0);
    this.#waiting.unshift(...displaced);
    for (const { client } of displaced) this.#share.enter(client);
    return displaced;
  }

  plan(stepsAtOnce: number): StepSchedule<S> {
    const decode = this.#decode(stepsAtOnce);
    const prefill: StepPart<S>[] = [];
    let budget = decode.reduce((left, { count }) => left - count, this.#limits.maxStepTokens);
    // Those of one priority in the order in which they got their slots: one that was begun is completed first.
    const prompts = this.#running
      .filter(({ isDecoding, isUnderWay }) => !isDecoding && !isUnderWay)
      .sort((a, b) => b.priority - a.priority);
    for (const sequence of prompts) {
      const ready = sequence.readyTokens - sequence.cachedTokens;
      const tokens = Math.min(ready, budget, this.#limits.maxChunkTokens);
      if (tokens <= 0) continue;
      prefill.push({ sequence, count: tokens });
      budget -= tokens;
    }
    return { decode, prefill };
  }

  began({ decode, prefill }: StepSchedule<S>): void {
    for (const { sequence, count } of decode) {
      this.#share.decoded(sequence.client);
      // A guess takes what a prompt's token does.
      this.#share.prefilled(sequence.client, count - 1);
    }
    for (const { sequence, count } of prefill) this.#share.prefilled(sequence.client, count);
  }

  /** One token each; one that is alone may have guesses verified, which the attention of a batch does not allow. */
  #decode(stepsAtOnce: number): StepPart<S>[] {
    const all = this.#running.filter(({ isDecoding }) => isDecoding);
    const sequences = shareOf(all, stepsAtOnce);
    const [sequence] = sequences;
    if (sequence === undefined || all.length > 1) return sequences.map((each) => ({ sequence: each, count: 1 }));
    return [{ sequence, count: 1 + sequence.propose(this.#limits.maxStepTokens - 1) }];
  }

  #hasSlotFor(sequence: S, leaving: readonly S[] = []): boolean {
    const staying = leaving.length === 0 ? this.#running : this.#running.filter((other) => !leaving.includes(other));
    const longest = staying.reduce((most, { maxTokens }) => Math.max(most, maxTokens), sequence.maxTokens);
    return staying.length < this.#limits.maxRunning && this.#hasRoom(staying.length + 1, longest);
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

  /**
   * Who gives its slot up for a sequence: those that wait for tiles first, then those that come after it by their priority;
   * of each the one that loses the least. As few as make room; undefined where all of them do not.
   * @param admitted have only just got theirs
   */
  #victimsFor(sequence: S, admitted: readonly S[]): S[] | undefined {
    const others = this.#running.filter((other) => !admitted.includes(other) && comesAfter(other, sequence));
    const idle = others.filter((other) => !hasEverything(other)).sort(byLoss);
    const lower = others
      .filter((other) => hasEverything(other) && other.priority < sequence.priority)
      .sort((a, b) => a.priority - b.priority || byLoss(a, b));
    const victims: S[] = [];
    for (const victim of [...idle, ...lower]) {
      victims.push(victim);
      if (this.#hasSlotFor(sequence, victims)) return victims;
    }
    return undefined;
  }

  #displace(sequence: S): void {
    this.#running.splice(this.#running.indexOf(sequence), 1);
    if (!hasEverything(sequence)) this.#displaced.add(sequence);
    this.#waiting.unshift(sequence);
    this.#share.enter(sequence.client);
  }
}

/** Of those that are not under way as many as fall to one of so many steps, side by side in the cache where they can be. */
function shareOf<S extends Schedulable>(sequences: readonly S[], stepsAtOnce: number): S[] {
  const idle = sequences.filter(({ isUnderWay }) => !isUnderWay);
  if (stepsAtOnce === 1) return idle;
  return idle.sort((a, b) => a.slot - b.slot).slice(0, Math.ceil(sequences.length / stepsAtOnce));
}

/** Whether its tiles are all there. */
function hasEverything({ readyTokens, promptTokens }: Schedulable): boolean {
  return readyTokens >= promptTokens;
}

/** Whether it is to be served after another one: neither was taken over while that was not, nor has it a higher priority. */
function comesAfter(sequence: Schedulable, other: Schedulable): boolean {
  if (sequence.isTakeover !== other.isTakeover) return other.isTakeover;
  return sequence.priority <= other.priority;
}

function byLoss(a: Schedulable, b: Schedulable): number {
  return a.cachedTokens - b.cachedTokens;
}

function count<S>(sequences: readonly S[], condition: (sequence: S) => boolean): number {
  return sequences.reduce((sum, sequence) => sum + (condition(sequence) ? 1 : 0), 0);
}
