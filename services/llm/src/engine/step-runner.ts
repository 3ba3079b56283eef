import { TesseraError } from '@tessera/protocol';
import type { CachePlanner } from '../kv/cache-planner.js';
import type { ModelExecutor } from '../model/model-executor.js';
import type { PlannedRow, RowResult, StepPlan } from '../model/step-plan.js';
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

/**
 * Makes a plan of what the scheduler decided, has it carried out, and hands each sequence its part. Counts what was done
 * since the start.
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
  /** What the cache is known to have room for. */
  #room = { slots: 0, positions: 0 };

  constructor({ executor, cache, onStepFailed }: StepRunnerOptions) {
    this.#executor = executor;
    this.#cache = cache;
    this.#onStepFailed = onStepFailed;
  }

  /**
   * @returns why the cache is lost, where it is: then the step did nothing else
   * @throws what made rows fail, once that has happened again and again
   */
  async run({ decode, prefill }: StepSchedule<Sequence>): Promise<TesseraError | undefined> {
    const startedMs = performance.now();
    const parts = [...decode, ...prefill];
    for (const { sequence } of prefill) sequence.startPrefill();
    const plan = this.#plan(parts);
    const result = await this.#executor.execute(plan);
    if ('cacheLost' in result) {
      this.#cache.lost();
      this.#room = { slots: 0, positions: 0 };
      return result.cacheLost;
    }
    if ('noMemory' in result) {
      this.#makeDo(parts, plan, result.noMemory);
      return undefined;
    }
    this.#cache.done();
    this.#room = { slots: plan.cache.slots, positions: plan.cache.positions };
    this.#handOut('decode', decode, result.rows.slice(0, decode.length));
    this.#handOut('prefill', prefill, result.rows.slice(decode.length));
    // Only now: a promotion moves another sequence's slot too, as far as that one says that it reaches.
    for (const { sequence } of prefill) {
      if (sequence.cachedTokens < sequence.promptTokens || sequence.hasEnded) continue;
      this.#cache.promote(sequence);
      sequence.isDecoding = true;
    }
    this.steps++;
    this.busyMs += performance.now() - startedMs;
    return undefined;
  }

  #plan(parts: readonly StepPart<Sequence>[]): StepPlan {
    const positions = parts.reduce((most, { sequence, count }) => Math.max(most, sequence.cachedTokens + count), 0);
    const cache = this.#cache.plan(positions, this.#executor.cacheBytes.slots);
    return { cache, rows: parts.map(({ sequence, count }) => plannedRow(sequence, count)) };
  }

  /**
   * There is no memory for what the step adds to the cache, and no step is taken. Beginnings that are kept give way first;
   * without any, the longest of the sequences that need the memory ends. What it frees may do for the others, which lack
   * nothing that they had.
   */
  #makeDo(parts: readonly StepPart<Sequence>[], { cache }: StepPlan, cause: unknown): void {
    if (this.#cache.failed()) return;
    const unmet = parts
      .map(({ sequence, count }) => ({ sequence, positions: sequence.cachedTokens + count }))
      .filter(({ sequence, positions }) => sequence.slot >= this.#room.slots || positions > this.#room.positions);
    const [victim] = unmet.sort((a, b) => b.positions - a.positions);
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
