import FlatQueue from 'flatqueue';
import { costOf } from '../profile/cost-of.js';
import type { Profile } from '../profile/profile.js';
import type { Cores } from './cores.js';
import type { Events } from './events.js';
import { Fifo } from './fifo.js';
import { StepLoop } from './step-loop.js';

/** One answer that an engine writes. */
export class Sequence {
  /** Tiles that are still being made. */
  missingTiles = 0;
  /** Positions that each of them has; pictures stand before all else that is to be computed. */
  tileTokens = 0;
  /** Positions behind the pictures. */
  textTokens = 0;
  /** Whether it lost its slot to one that had everything: it gets another once it has that too. */
  isDisplaced = false;
  /** Since when it has all that it needs but a slot. */
  readyAt = 0;
  /** When its prompt began to be computed. */
  begunAt = Number.NaN;

  constructor(
    /** Positions of the prompt that must be computed, and are not yet. */
    public promptLeft: number,
    /** Positions of the whole prompt. */
    readonly promptTokens: number,
    readonly outputTokens: number,
    /** The most positions that it can come to. */
    readonly maxPositions: number,
    /** Its first token is there. */
    readonly first: () => void,
    /** Its last token is there. */
    readonly last: () => void,
  ) {}

  /** Tiles that are to come before what stands behind them can be computed. */
  waitFor(tiles: number, tokensPerTile: number): void {
    this.missingTiles = tiles;
    this.tileTokens = tokensPerTile;
    this.textTokens = Math.max(0, this.promptLeft - tiles * tokensPerTile);
  }

  /** Positions that could be computed now: those before the first missing tile. */
  get readyTokens(): number {
    if (this.missingTiles === 0) return this.promptLeft;
    return Math.max(0, this.promptLeft - this.textTokens - this.missingTiles * this.tileTokens);
  }
}

/** What all engines did together. */
export interface EngineTotals {
  busyMs: number;
  steps: number;
  prefillTokens: number;
  decodeTokens: number;
  /** Milliseconds that sequences waited for a slot. */
  waitedMs: number;
}

export interface EngineOptions {
  readonly events: Events;
  readonly cores: Cores;
  readonly profile: Profile['llm'];
  readonly totals: EngineTotals;
  /** What others have to do for each token that leaves, in milliseconds of a core. */
  readonly tokenMs: number;
  /** Tells them how many threads' worth that is now. */
  beside(threads: number): void;
  /** It has nothing left to do. */
  idle(): void;
}

/**
 * An engine as the LLM service's: each step gives every sequence that decodes a token and computes chunks of prompts within
 * the step's budget. A sequence gets a slot when all of its tiles are there, in the order in which that comes about, and
 * where the KV cache has room for all that run, each as long as the longest of them may become. One whose tiles are still
 * being made gets a slot that nobody else needs, for what stands before the first that is missing.
 */
export class Engine {
  draining = false;
  readonly #loop: StepLoop;
  readonly #prefillMs: (tokens: number) => number;
  readonly #decodeMs: (sequences: number) => number;
  readonly #joinMs: (answers: number) => number;
  readonly #waiting = new Fifo<Sequence>();
  #incomplete = 0;
  /** Those of which tiles are missing that have a slot, and those that could do something with one. */
  readonly #early = new Set<Sequence>();
  readonly #hopeful = new Set<Sequence>();
  /** Those with a slot whose prompt is not computed, in their order. */
  readonly #prefilling: Sequence[] = [];
  /** Tokens of each of them in the step under way. */
  #chunks: number[] = [];
  /** Those that decode, by the step at which they are done. */
  readonly #decoding = new FlatQueue<Sequence>();
  /** All with a slot. */
  readonly #running = new Set<Sequence>();
  #longest = 0;
  #step = 0;
  /** Positions of all that decode. */
  #context = 0;
  #stepMs = 0;
  #decoded = 0;

  constructor(private readonly options: EngineOptions) {
    const { cores, profile, beside } = options;
    this.#prefillMs = costOf(profile.prefillMs);
    this.#decodeMs = costOf(profile.decodeMs);
    this.#joinMs = costOf(profile.joinMs ?? []);
    this.#loop = new StepLoop({
      cores,
      plan: () => this.#plan(),
      done: (count) => this.#stepped(count),
      beside,
    });
  }

  /** What gateways choose by. */
  get load(): number {
    return this.#complete + this.#incomplete;
  }

  /** Answers that are being written. */
  get writing(): number {
    return this.#decoding.length;
  }

  /** Those that have all that they need but a slot. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Share of the KV cache that what runs can come to. */
  get kvUsage(): number {
    return (this.#running.size * this.#longest) / this.options.profile.kvTokens;
  }

  /** Those that have all that they need, with a slot or without. */
  get #complete(): number {
    return this.#running.size - this.#early.size + this.#waiting.length;
  }

  isFull(hasPictures: boolean): boolean {
    const { maxRunning, maxWaiting, maxWaitingForTiles } = this.options.profile;
    if (this.#complete >= maxRunning + maxWaiting) return true;
    return hasPictures && this.#incomplete >= maxWaitingForTiles;
  }

  /** @param sequence with its missing tiles counted */
  add(sequence: Sequence): void {
    if (sequence.missingTiles > 0) this.#incomplete++;
    else this.#ready(sequence);
  }

  tileCame(sequence: Sequence): void {
    if (--sequence.missingTiles > 0) {
      if (sequence.isDisplaced) return;
      if (!this.#early.has(sequence)) this.#hopeful.add(sequence);
      this.#loop.wake();
      return;
    }
    this.#incomplete--;
    this.#hopeful.delete(sequence);
    if (this.#early.delete(sequence)) this.#loop.wake();
    else this.#ready(sequence);
  }

  #ready(sequence: Sequence): void {
    sequence.readyAt = this.options.events.now;
    this.#waiting.push(sequence);
    if (this.#waiting.length === 1 && (this.#early.size > 0 || this.#hasSlotFor(sequence))) this.#loop.wake();
  }

  #hasSlotFor({ maxPositions }: Sequence): boolean {
    const { maxRunning, kvTokens } = this.options.profile;
    const slots = this.#running.size + 1;
    return slots <= maxRunning && (slots === 1 || slots * Math.max(this.#longest, maxPositions) <= kvTokens);
  }

  #plan() {
    const { profile, tokenMs } = this.options;
    this.#assignSlots();
    const decoding = this.#decoding.length;
    let ms = decoding === 0 ? 0 : this.#decodeMs(decoding) + (profile.contextMs * this.#context) / 1000;
    let budget = profile.maxStepTokens - decoding;
    let prompts = 0;
    this.#chunks = [];
    for (const { readyTokens } of this.#prefilling) {
      const tokens = Math.max(0, Math.min(readyTokens, budget, profile.maxChunkTokens));
      this.#chunks.push(tokens);
      if (readyTokens > 0) prompts++;
      if (tokens === 0) continue;
      budget -= tokens;
      ms += this.#prefillMs(tokens);
    }
    if (decoding === 0 && prompts === 0) return undefined;
    if (decoding > 0 && budget < profile.maxStepTokens - decoding) ms += this.#joinMs(decoding);
    this.#stepMs = ms;
    this.#decoded = decoding;
    const ends = this.#decoding.peekValue();
    const count = prompts > 0 || ends === undefined ? 1 : ends - this.#step;
    return { count, ms, besideMs: decoding * tokenMs };
  }

  /** To those that have everything first, who take those of others that have not; then to these. */
  #assignSlots(): void {
    const { events, totals } = this.options;
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      while (!this.#hasSlotFor(next) && this.#early.size > 0) this.#displace();
      if (!this.#hasSlotFor(next)) return;
      this.#waiting.shift();
      totals.waitedMs += events.now - next.readyAt;
      this.#admit(next);
    }
    for (const sequence of this.#hopeful) {
      if (!this.#hasSlotFor(sequence)) return;
      this.#hopeful.delete(sequence);
      this.#early.add(sequence);
      this.#admit(sequence);
    }
  }

  #admit(sequence: Sequence): void {
    if (Number.isNaN(sequence.begunAt)) sequence.begunAt = this.options.events.now;
    this.#running.add(sequence);
    this.#longest = Math.max(this.#longest, sequence.maxPositions);
    this.#prefilling.push(sequence);
  }

  /** The one that came last gives its slot up; what is computed of it stays in the cache. */
  #displace(): void {
    const sequence = [...this.#early].at(-1) as Sequence;
    this.#early.delete(sequence);
    sequence.isDisplaced = true;
    this.#prefilling.splice(this.#prefilling.indexOf(sequence), 1);
    this.#forget(sequence);
  }

  #stepped(count: number): void {
    const { totals } = this.options;
    this.#step += count;
    this.#context += count * this.#decoded;
    totals.steps += count;
    totals.busyMs += count * this.#stepMs;
    totals.decodeTokens += count * this.#decoded;
    if (this.#prefilling.length > 0) this.#prefilled();
    for (let ends = this.#decoding.peekValue(); ends !== undefined && ends <= this.#step; ) {
      const sequence = this.#decoding.pop() as Sequence;
      this.#context -= sequence.promptTokens + sequence.outputTokens;
      this.#leave(sequence);
      ends = this.#decoding.peekValue();
    }
    if (this.load === 0) this.options.idle();
  }

  #prefilled(): void {
    const prompts = this.#prefilling.splice(0);
    for (const [at, sequence] of prompts.entries()) {
      const tokens = this.#chunks[at] ?? 0;
      sequence.promptLeft -= tokens;
      this.options.totals.prefillTokens += tokens;
      if (sequence.promptLeft > 0) {
        this.#prefilling.push(sequence);
        continue;
      }
      sequence.first();
      if (sequence.outputTokens === 1) {
        this.#leave(sequence);
        continue;
      }
      this.#context += sequence.promptTokens + 1;
      this.#decoding.push(sequence, this.#step + sequence.outputTokens - 1);
    }
  }

  #leave(sequence: Sequence): void {
    this.#forget(sequence);
    sequence.last();
  }

  /** Takes a slot back. */
  #forget(sequence: Sequence): void {
    this.#running.delete(sequence);
    if (sequence.maxPositions === this.#longest) {
      this.#longest = 0;
      for (const { maxPositions } of this.#running) if (maxPositions > this.#longest) this.#longest = maxPositions;
    }
  }
}
