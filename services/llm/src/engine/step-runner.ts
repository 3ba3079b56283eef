import { TesseraError } from '@tessera/protocol';
import type { CachePlanner } from '../kv/cache-planner.js';
import type { ModelExecutor } from '../model/model-executor.js';
import type { PlannedRow, RowResult, StepPlan, StepResult } from '../model/step-plan.js';
import type { StepPart, StepSchedule } from '../scheduler/scheduler.js';
import type { Sequence } from './sequence.js';

export interface StepRunnerOptions {
  readonly executor: ModelExecutor;
  readonly cache: CachePlanner<Sequence>;
  /** Told why something of a step failed. */
  readonly onStepFailed: ((error: unknown) => void) | undefined;
}

/** So many failures of one kind in a row are no longer the fault of what was computed. */
const maxFailuresInARow = 3;

/** What was under way when the cache was lost, and why it was. */
export interface LostCache {
  readonly reason: TesseraError;
  readonly sequences: readonly Sequence[];
}

/** A step that has begun. */
interface StepUnderWay extends StepSchedule<Sequence> {
  readonly startedMs: number;
  readonly plan: StepPlan;
  readonly result: Promise<StepResult>;
}

/** Where steps go side by side the cache gets room for so many positions more, so that it seldom has to grow between them. */
const spareForSteps = 64;

/**
 * Makes a plan of what the scheduler decided, has it carried out, and hands each sequence its part. Counts what was done
 * since the start.
 *
 * Where the executor takes several steps at a time, one begins beside others only if none of them changes the cache but by
 * its rows: whatever is moved, kept, loaded or grown comes with a step that is alone.
 */
export class StepRunner {
  steps = 0;
  busyMs = 0;
  prefillTokens = 0;
  decodeTokens = 0;
  /** Tokens that were guessed and computed, and those of them that came true. */
  proposedTokens = 0;
  acceptedTokens = 0;
  readonly #executor: ModelExecutor;
  readonly #cache: CachePlanner<Sequence>;
  readonly #onStepFailed: ((error: unknown) => void) | undefined;
  readonly #failuresInARow = { decode: 0, prefill: 0 };
  readonly #underWay: StepUnderWay[] = [];
  /** Whether a step may begin beside those that are under way, as far as they are concerned. */
  #sharesCache = false;
  #settledMs = 0;
  /** Whether the cache may have spare positions: until there is no memory for them. */
  #hasSpare = false;
  /** What the cache had room for after the last plan that was carried out. */
  #room = { slots: 0, positions: 0 };
  /** Whether it has it still: one that finds no memory may have made some layers smaller before. */
  #hasRoom = false;

  constructor({ executor, cache, onStepFailed }: StepRunnerOptions) {
    this.#executor = executor;
    this.#cache = cache;
    this.#onStepFailed = onStepFailed;
  }

  /** How many steps may be under way. */
  get stepsAtOnce(): number {
    return this.#executor.stepsAtOnce ?? 1;
  }

  /** How many are. */
  get underWay(): number {
    return this.#underWay.length;
  }

  /** Whether a step may begin beside those that are under way. */
  canJoin({ decode, prefill }: StepSchedule<Sequence>): boolean {
    const isFree = this.#underWay.length > 0 && this.#underWay.length < this.stepsAtOnce && this.#sharesCache;
    return isFree && this.#leavesCache([...decode, ...prefill]);
  }

  /** Has a step begin: alone, or where `canJoin` says so. */
  begin(schedule: StepSchedule<Sequence>): void {
    const parts = [...schedule.decode, ...schedule.prefill];
    for (const { sequence } of schedule.prefill) sequence.startPrefill();
    this.#sharesCache = this.stepsAtOnce > 1 && this.#leavesCache(parts);
    const plan = this.#plan(parts);
    for (const { sequence } of parts) sequence.isUnderWay = true;
    const startedMs = performance.now();
    const result = this.#executor.execute(plan);
    // Told where it is waited for, which may be after another one.
    result.catch(() => {});
    this.#underWay.push({ ...schedule, startedMs, plan, result });
  }

  /**
   * Waits for the step that began first, and hands out what it gave.
   * @returns where the cache is lost: then no step that was under way did anything else, and none is
   * @throws what made rows fail, once that has happened again and again
   */
  async settle(): Promise<LostCache | undefined> {
    const step = this.#underWay[0] as StepUnderWay;
    const { decode, prefill, plan } = step;
    const result = await step.result;
    if ('cacheLost' in result) {
      const sequences = this.#underWay.flatMap((each) => sequencesOf(each));
      await this.abandon();
      this.#cache.lost();
      this.#room = { slots: 0, positions: 0 };
      this.#hasRoom = false;
      return { reason: result.cacheLost, sequences };
    }
    this.#leave(step);
    if ('noMemory' in result) {
      this.#hasRoom = false;
      this.#makeDo([...decode, ...prefill], plan, result.noMemory);
      return undefined;
    }
    if (plan.cache.isDone !== true) this.#cache.done();
    this.#hasSpare = this.stepsAtOnce > 1;
    this.#room = { slots: plan.cache.slots, positions: plan.cache.positions };
    this.#hasRoom = true;
    this.#handOut('decode', decode, result.rows.slice(0, decode.length));
    this.#handOut('prefill', prefill, result.rows.slice(decode.length));
    this.steps++;
    const settledMs = performance.now();
    this.busyMs += settledMs - Math.max(step.startedMs, this.#settledMs);
    this.#settledMs = settledMs;
    return undefined;
  }

  /** Waits for all that is under way, and has nothing of it count. */
  async abandon(): Promise<void> {
    for (const step of [...this.#underWay]) {
      await step.result.catch(() => {});
      this.#leave(step);
    }
  }

  #leave(step: StepUnderWay): void {
    this.#underWay.splice(this.#underWay.indexOf(step), 1);
    for (const sequence of sequencesOf(step)) sequence.isUnderWay = false;
  }

  /** Whether the cache has room for a step, and nothing else is to be done to it. */
  #leavesCache(parts: readonly StepPart<Sequence>[]): boolean {
    const { slots, positions } = this.#room;
    return this.#hasRoom && this.#cache.isSettled && this.#cache.inUse <= slots && lengthOf(parts) <= positions;
  }

  #plan(parts: readonly StepPart<Sequence>[]): StepPlan {
    const rows = parts.map(({ sequence, count }) => plannedRow(sequence, count));
    if (this.#sharesCache) return { cache: { operations: [], ...this.#room, loads: [], isDone: true }, rows };
    const spare = this.stepsAtOnce > 1 && this.#hasSpare ? spareForSteps : 0;
    const most = parts.reduce((longest, { sequence }) => Math.max(longest, sequence.maxTokens), 0);
    const positions = Math.max(lengthOf(parts), Math.min(lengthOf(parts) + spare, most));
    return { cache: this.#cache.plan(positions, this.#executor.cacheBytes.slots), rows };
  }

  /**
   * There is no memory for what the step adds to the cache, and no step is taken. Beginnings that are kept give way first;
   * without any, the longest of the sequences that need the memory ends. What it frees may do for the others, which lack
   * nothing that they had.
   */
  #makeDo(parts: readonly StepPart<Sequence>[], { cache }: StepPlan, cause: unknown): void {
    if (this.#cache.failed()) return;
    // Whoever has a slot counts, with a part in the step or without.
    const counts = new Map(parts.map(({ sequence, count }) => [sequence, count]));
    const unmet = this.#cache.owners
      .map((sequence) => ({ sequence, positions: sequence.cachedTokens + (counts.get(sequence) ?? 0) }))
      .filter(({ sequence, positions }) => sequence.slot >= this.#room.slots || positions > this.#room.positions);
    const [victim] = unmet.sort((a, b) => b.positions - a.positions);
    if (victim === undefined && this.#hasSpare) {
      // There is memory for all but the spare.
      this.#hasSpare = false;
      return;
    }
    if (victim === undefined) throw cause;
    this.#onStepFailed?.(cause);
    const message =
      `there is no memory for ${this.#executor.slotBytesFor(cache.slots, cache.positions)} bytes of KV cache; ` +
      `lower kv.maxBytes, or give the process more memory that lacks it: ${TesseraError.from(cause).message}`;
    victim.sequence.failure ??= new TesseraError('QUEUE_FULL', message, { cause });
  }

  /** A failure ends the sequences it befell, not the engine; unless nothing of the kind works any more. */
  #handOut(kind: 'decode' | 'prefill', parts: readonly StepPart<Sequence>[], results: readonly RowResult[]): void {
    const failures = new Set<unknown>();
    for (const [index, { sequence, count }] of parts.entries()) {
      const result = results[index];
      if (result === undefined) continue;
      if ('error' in result) {
        const { error: cause } = result;
        failures.add(cause);
        sequence.spoil(new TesseraError('INTERNAL', 'computing the answer failed', { cause }));
        continue;
      }
      // Planned again as it was, until its deadline.
      sequence.waitsFor = 'unavailable' in result ? result.unavailable : undefined;
      if ('unavailable' in result) continue;
      try {
        const taken = sequence.advance(count, result.hidden, result.logits);
        if (kind === 'prefill') {
          this.prefillTokens += taken;
        } else {
          this.decodeTokens += taken;
          this.proposedTokens += count - 1;
          this.acceptedTokens += taken - 1;
        }
      } catch (error) {
        // What one sequence's numbers are wrong in says nothing of the others.
        sequence.spoil(TesseraError.from(error));
      }
    }
    for (const cause of failures) this.#onStepFailed?.(cause);
    if (parts.length === 0) return;
    this.#failuresInARow[kind] = failures.size > 0 ? this.#failuresInARow[kind] + 1 : 0;
    if (this.#failuresInARow[kind] >= maxFailuresInARow) throw [...failures].at(-1);
  }
}

function sequencesOf({ decode, prefill }: StepSchedule<Sequence>): Sequence[] {
  return [...decode, ...prefill].map(({ sequence }) => sequence);
}

/** Positions of the longest sequence, with what a step adds. */
function lengthOf(parts: readonly StepPart<Sequence>[]): number {
  return parts.reduce((most, { sequence, count }) => Math.max(most, sequence.cachedTokens + count), 0);
}

function plannedRow(sequence: Sequence, count: number): PlannedRow {
  const from = sequence.cachedTokens;
  const { slot, wantsHidden } = sequence;
  const common = { slot, position: from, wantsHidden };
  if (sequence.isDecoding) {
    return { ...common, tokenIds: sequence.nextTokens(count), media: [], wantedLogits: count };
  }
  const tokenIds = sequence.promptSlice(from, from + count);
  return { ...common, tokenIds, media: sequence.tiles.rowsWithin(from, from + count), wantedLogits: 1 };
}
