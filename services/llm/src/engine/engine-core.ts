import { setImmediate as turn } from 'node:timers/promises';
import { TesseraError } from '@tessera/protocol';
import { CachePlanner } from '../kv/cache-planner.js';
import type { ModelExecutor } from '../model/model-executor.js';
import { FairScheduler } from '../scheduler/fair-scheduler.js';
import type { Scheduler, StepSchedule } from '../scheduler/scheduler.js';
import type { CancelOptions, EngineLimits, EngineRequest, EngineStats, TileFailure, TileTokens } from './engine.js';
import type { EventSink } from './engine-events.js';
import { RetryEstimate } from './retry-estimate.js';
import { Sequence, type SequenceModel } from './sequence.js';
import { type LostCache, StepRunner } from './step-runner.js';

export interface EngineCoreOptions {
  readonly executor: ModelExecutor;
  readonly model: SequenceModel;
  readonly limits: EngineLimits;
  /** What the cache may take; a sequence of `model.maxPositions` fits. */
  readonly kvBytes: number;
  /** Told why a step failed; the sequences in it end, the engine goes on. */
  readonly onStepFailed?: (error: unknown) => void;
  /** Told that the cache was lost, and why; what it held is computed again. */
  readonly onCacheLost?: (error: TesseraError) => void;
}

/**
 * Steps sequences through a model: schedules a step, has it carried out, and lets the
 * thread take in messages before the next. Whatever is asked of it between two steps takes effect at the next one.
 */
export class EngineCore {
  readonly #executor: ModelExecutor;
  readonly #model: SequenceModel;
  readonly #limits: EngineLimits;
  readonly #kvBytes: number;
  readonly #cache: CachePlanner<Sequence>;
  readonly #runner: StepRunner;
  readonly #scheduler: Scheduler<Sequence>;
  readonly #sequences = new Map<string, Sequence>();
  /** Ended, and no longer known by their request's id. */
  readonly #superseded: Sequence[] = [];
  readonly #retry = new RetryEstimate();
  readonly #onCacheLost: ((error: TesseraError) => void) | undefined;
  #preemptions = 0;
  #cacheLosses = 0;
  #cachedTokens = 0;
  readonly #loop: Promise<void>;
  readonly #onIdle: (() => void)[] = [];
  #wake: (() => void) | undefined;
  /** Somebody may have use for a slot, or for more of its prompt, since slots were given. */
  #hasNews = false;
  #closing = false;
  #draining = false;

  constructor({ executor, model, limits, kvBytes, onStepFailed, onCacheLost }: EngineCoreOptions) {
    this.#executor = executor;
    this.#model = model;
    this.#limits = limits;
    this.#kvBytes = kvBytes;
    const slotBytes = (slots: number, longest: number): number => executor.slotBytesFor(slots, longest);
    this.#cache = new CachePlanner({
      slots: limits.maxRunning,
      maxBytes: kvBytes,
      positionBytes: executor.positionBytes,
      slotBytes,
      reusesPrefixes: limits.reusePrefixes,
    });
    this.#runner = new StepRunner({ executor, cache: this.#cache, onStepFailed });
    this.#scheduler = new FairScheduler(limits, (slots, longest) => slotBytes(slots, longest) <= kvBytes);
    this.#onCacheLost = onCacheLost;
    executor.onChange?.(() => this.#wake?.());
    this.#loop = this.#run();
    // Whoever watches `done` handles it; without one it must not end the process before `close` is called.
    this.#loop.catch(() => {});
  }

  /** Resolves after `close`; rejects when a step failed, which ends every sequence and the engine. */
  get done(): Promise<void> {
    return this.#loop;
  }

  /** Errors go to the sink, as everything does. */
  submit(request: EngineRequest, sink: EventSink): void {
    try {
      this.#admit(request, sink);
    } catch (error) {
      sink.fail(error);
    }
  }

  provideTile({ requestId, item, tile, tokens, timings }: TileTokens): void {
    const sequence = this.#sequences.get(requestId);
    if (sequence === undefined) return;
    try {
      if (!sequence.tiles.provide(item, tile, tokens)) return;
    } catch (error) {
      this.#end(sequence, TesseraError.from(error));
      return;
    }
    sequence.sink.put({ type: 'tileArrived', item, tile, tokens: tokens.shape[0] as number, timings });
    sequence.tileRequests = 0;
    this.#scheduleTileRequest(sequence);
    this.#hasNews = true;
    this.#wake?.();
  }

  failTile({ requestId, item, tile, attempt, error }: TileFailure): void {
    const sequence = this.#sequences.get(requestId);
    if (sequence === undefined || !sequence.tiles.isMissing(item, tile)) return;
    const own = sequence.request.attempt;
    // What this sequence asks for is made under a higher attempt than its own.
    const isNewest = attempt > own || (attempt === own && !sequence.tiles.wasAskedFor(item, tile));
    // What cannot get better is the same for every attempt. Anything else says nothing of the ones that came after.
    if (!error.retryable || isNewest) this.#end(sequence, error);
    else sequence.tilesDueMs = 0;
    this.#wake?.();
  }

  cancel(requestId: string, { attempt, reason }: CancelOptions = {}): void {
    const sequence = this.#sequences.get(requestId);
    if (sequence === undefined || (attempt !== undefined && attempt !== sequence.request.attempt)) return;
    this.#end(sequence, reason ?? new TesseraError('CANCELLED', 'the request was cancelled'));
  }

  stats(): EngineStats {
    let heldTiles = 0;
    let longest = 0;
    for (const { tiles, slot, maxTokens } of this.#sequences.values()) {
      heldTiles += tiles.held;
      if (slot >= 0) longest = Math.max(longest, maxTokens);
    }
    const { inUse, keptBytes } = this.#cache;
    const { slots, kept } = this.#executor.cacheBytes;
    return {
      running: this.#scheduler.running,
      waiting: this.#scheduler.waiting,
      waitingForTiles: this.#scheduler.waitingForTiles,
      slotsInUse: inUse,
      cacheUsage: inUse === 0 ? 0 : this.#executor.slotBytesFor(inUse, longest) / this.#kvBytes,
      cacheBytes: slots + kept,
      keptBytes,
      retryAfterMs: this.#retryAfterMs(),
      heldTiles,
      steps: this.#runner.steps,
      busyMs: this.#runner.busyMs,
      prefillTokens: this.#runner.prefillTokens,
      cachedTokens: this.#cachedTokens,
      decodeTokens: this.#runner.decodeTokens,
      proposedTokens: this.#runner.proposedTokens,
      acceptedTokens: this.#runner.acceptedTokens,
      preemptions: this.#preemptions,
      cacheLosses: this.#cacheLosses,
    };
  }

  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#sequences.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  async close(): Promise<void> {
    this.#draining = true;
    this.#closing = true;
    this.#wake?.();
    await this.#loop;
  }

  #admit(request: EngineRequest, sink: EventSink): void {
    const { requestId, attempt, prompt } = request;
    if (this.#draining) throw new TesseraError('DRAINING', 'this engine is shutting down and takes no new requests');
    const earlier = this.#sequences.get(requestId);
    if (earlier !== undefined) {
      if (earlier.request.attempt >= attempt) {
        throw new TesseraError(
          'REQUEST_INVALID',
          `request ${requestId} is running already, as attempt ${attempt} or later`,
        );
      }
      this.#end(earlier, new TesseraError('CANCELLED', `attempt ${attempt} of the request takes over`));
      // A step may be under way, and slots must not move during it.
      this.#superseded.push(earlier);
    }
    const sequence = new Sequence(request, sink, this.#model);
    const full = earlier === undefined ? this.#scheduler.fullFor(sequence) : undefined;
    if (full !== undefined) {
      throw new TesseraError('QUEUE_FULL', `the llm engine has ${full}`, { retryAfterMs: this.#retryAfterMs() });
    }
    this.#sequences.set(requestId, sequence);
    this.#scheduler.add(sequence);
    this.#hasNews = true;
    const expected = this.#cache.expected(sequence);
    sequence.expect(expected);
    const promptTokens = prompt.tokenIds.length;
    // What a takeover has written already may be there too.
    const cachedTokens = Math.min(expected, promptTokens);
    sink.put({ type: 'admitted', promptTokens, cachedTokens, byModality: prompt.byModality });
    this.#watchTiles(sequence);
    this.#wake?.();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#closing) {
        const nowMs = Date.now();
        this.#expire(nowMs);
        if (this.#runner.underWay > 0) {
          if (!this.#beginBeside()) await this.#settle();
          continue;
        }
        this.#sweep();
        const { missing } = this.#executor;
        // Those that have a slot still are told by a step that they have it no more.
        if (missing !== undefined && this.#cache.inUse === 0) {
          await this.#wait(nowMs, missing);
          continue;
        }
        this.#hasNews = false;
        this.#assignSlots();
        const schedule = this.#scheduler.plan(this.#runner.stepsAtOnce);
        if (isEmpty(schedule)) await this.#idle(nowMs);
        else this.#begin(schedule);
      }
      await this.#runner.abandon();
      this.#abandon(new TesseraError('CANCELLED', 'the engine was closed'));
    } catch (cause) {
      await this.#runner.abandon();
      this.#draining = true;
      this.#abandon(new TesseraError('STAGE_UNAVAILABLE', 'the llm engine failed', { cause }));
      throw cause;
    } finally {
      await this.#executor.release();
    }
  }

  /**
   * Has another step begin beside those that are under way, if that leaves all slots as they are: who comes, who leaves and
   * who has its prompt computed waits until none is.
   */
  #beginBeside(): boolean {
    if (this.#runner.underWay >= this.#runner.stepsAtOnce || this.#hasNews) return false;
    if (this.#executor.missing !== undefined) return false;
    for (const sequence of this.#sequences.values()) if (sequence.hasEnded || isPrefilled(sequence)) return false;
    const schedule = this.#scheduler.plan(this.#runner.stepsAtOnce);
    if (isEmpty(schedule) || !this.#runner.canJoin(schedule)) return false;
    this.#begin(schedule);
    return true;
  }

  #begin(schedule: StepSchedule<Sequence>): void {
    this.#scheduler.began(schedule);
    this.#runner.begin(schedule);
  }

  async #settle(): Promise<void> {
    const lost = await this.#runner.settle();
    if (lost !== undefined) this.#computeAgain(lost);
    if (this.#runner.underWay === 0) {
      this.#promote();
      this.#sweep();
    }
    // A step may block its thread; messages are taken in here.
    await turn();
  }

  /** Has those whose prompt is computed decode. */
  #promote(): void {
    for (const sequence of this.#sequences.values()) {
      if (sequence.hasEnded || !isPrefilled(sequence)) continue;
      this.#cache.promote(sequence);
      sequence.isDecoding = true;
    }
  }

  /** Until a part of the model is there again, or somebody's deadline has passed. */
  async #wait(nowMs: number, missing: TesseraError): Promise<void> {
    for (const sequence of this.#sequences.values()) sequence.waitsFor = missing;
    await this.#idle(nowMs);
    if (this.#executor.missing !== undefined) return;
    for (const sequence of this.#sequences.values()) if (sequence.waitsFor === missing) sequence.waitsFor = undefined;
  }

  /** All that had a slot is computed as a prompt is; what is written stays written. What was in such steps too often ends. */
  #computeAgain({ sequences, reason: lost }: LostCache): void {
    this.#cacheLosses++;
    for (const sequence of sequences) {
      if (++sequence.lossesInARow < maxLossesInARow) continue;
      const message = `the KV cache was lost ${sequence.lossesInARow} times in a row: ${lost.message}`;
      sequence.failure ??= new TesseraError('STAGE_UNAVAILABLE', message, { cause: lost, stage: 'layers' });
    }
    for (const sequence of this.#scheduler.displaceAll()) sequence.restart();
    // Those that wait counted on what was kept.
    for (const sequence of this.#sequences.values()) {
      sequence.expect(0);
      this.#watchTiles(sequence);
    }
    this.#onCacheLost?.(lost);
  }

  /** Whoever gets a slot goes on after what the cache has of it. */
  #assignSlots(): void {
    const { displaced, admitted } = this.#scheduler.assignSlots();
    for (const sequence of displaced) {
      this.#cache.release(sequence);
      sequence.restart();
      // What it has computed was kept, and may be there still when its turn comes.
      sequence.expect(this.#cache.expected(sequence));
      this.#preemptions++;
    }
    for (const sequence of admitted) {
      this.#cache.acquire(sequence);
      this.#cachedTokens += sequence.cachedTokens;
    }
    for (const sequence of this.#sequences.values()) this.#watchTiles(sequence);
  }

  /** Ends a sequence with an error, before the next step. */
  #end(sequence: Sequence, error: TesseraError): void {
    sequence.failure ??= error;
    this.#wake?.();
  }

  /** Lets go of every sequence that has ended. */
  #sweep(): void {
    for (const sequence of this.#superseded.splice(0)) this.#leave(sequence);
    for (const [requestId, sequence] of this.#sequences) {
      if (!sequence.hasEnded) continue;
      this.#sequences.delete(requestId);
      this.#leave(sequence);
    }
    if (this.#sequences.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #leave(sequence: Sequence): void {
    const { failure, finishReason, sink, completionTokens, cachedPromptTokens: cachedTokens, timing } = sequence;
    this.#cache.release(sequence);
    this.#scheduler.remove(sequence);
    if (failure !== undefined || finishReason === undefined) {
      sink.fail(failure);
      return;
    }
    this.#retry.finished(timing.prefillMs + timing.decodeMs);
    sink.put({ type: 'finished', reason: finishReason, completionTokens, cachedTokens, timing });
    sink.end();
  }

  #abandon(error: TesseraError): void {
    for (const sequence of this.#sequences.values()) sequence.failure ??= error;
    this.#sweep();
  }

  /** Deadlines, and tiles that did not come. */
  #expire(nowMs: number): void {
    for (const sequence of this.#sequences.values()) {
      if (nowMs >= sequence.request.deadlineMs) {
        sequence.failure ??= new TesseraError('DEADLINE_EXCEEDED', lateness(sequence));
      } else if (nowMs >= sequence.tilesDueMs) {
        this.#requestTiles(sequence, 'all');
      }
    }
  }

  /** What was thought to be in the cache, and is not, needs its tiles after all. */
  #watchTiles(sequence: Sequence): void {
    if (!sequence.tiles.takeChange()) return;
    if (sequence.request.tilesOnDemand || sequence.tiles.wereUsed) {
      if (sequence.tiles.hasUnasked) this.#requestTiles(sequence, 'unasked');
    } else if (sequence.tilesDueMs === Number.POSITIVE_INFINITY) {
      this.#scheduleTileRequest(sequence);
    }
  }

  /** Asking is cheap, and whoever is asked sees whether the tile is being made: so it goes on until the deadline. */
  #requestTiles(sequence: Sequence, which: 'all' | 'unasked'): void {
    sequence.tileRequests++;
    for (const { item, tile } of sequence.tiles.askForMissing(which)) {
      sequence.sink.put({ type: 'tileNeeded', item, tile });
    }
    this.#scheduleTileRequest(sequence);
  }

  #scheduleTileRequest(sequence: Sequence): void {
    const pauseMs = this.#limits.tileTimeoutMs * Math.min(2 ** sequence.tileRequests, mostPauses);
    sequence.tilesDueMs = sequence.tiles.isComplete ? Number.POSITIVE_INFINITY : Date.now() + pauseMs;
  }

  /** For one who would come after all that wait. */
  #retryAfterMs(): number {
    return this.#retry.afterMs(this.#scheduler.waiting + 1, Math.max(1, this.#scheduler.running));
  }

  /** Waits until something arrives or falls due. */
  async #idle(nowMs: number): Promise<void> {
    let dueMs = nowMs + maxIdleMs;
    for (const { request, tilesDueMs } of this.#sequences.values())
      dueMs = Math.min(dueMs, request.deadlineMs, tilesDueMs);
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (this.#sequences.size > 0) timer = setTimeout(resolve, Math.max(1, dueMs - nowMs));
      if (this.#closing) resolve();
    });
    clearTimeout(timer);
    this.#wake = undefined;
  }
}

/** After so many losses without a token in between it may be what is computed that they come from. */
const maxLossesInARow = 3;

/** Whether its prompt is computed, and it does not decode yet. */
function isPrefilled({ slot, isDecoding, cachedTokens, promptTokens }: Sequence): boolean {
  return slot >= 0 && !isDecoding && cachedTokens >= promptTokens;
}

function isEmpty({ decode, prefill }: StepSchedule<Sequence>): boolean {
  return decode.length === 0 && prefill.length === 0;
}

/** Far below what a timer can count to. */
const maxIdleMs = 60_000;
/** The pause between two askings for missing tiles doubles until it is this many times the first one. */
const mostPauses = 8;

function lateness({ completionTokens, tiles, waitsFor }: Sequence): string {
  if (waitsFor !== undefined) return `the deadline passed after ${completionTokens} tokens, while ${waitsFor.message}`;
  if (tiles.isComplete) return `the deadline passed after ${completionTokens} tokens were written`;
  const count = tiles.missing().length;
  return `the deadline passed while the visual tokens of ${count} tiles were missing; look at the encoder and the connector`;
}
