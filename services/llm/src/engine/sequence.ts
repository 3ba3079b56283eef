import { FinishReason, type TesseraError } from '@tessera/protocol';
import type { Constraints } from '../constraint/constraints.js';
import type { CacheOwner } from '../kv/cache-planner.js';
import type { CacheContent } from '../kv/prefix-store.js';
import { type SampledToken, Sampler } from '../sampling/sampler.js';
import type { TokenLikelihood } from '../sampling/token-likelihood.js';
import type { Schedulable } from '../scheduler/scheduler.js';
import { type SpeculationOptions, Speculator } from '../speculation/speculator.js';
import { Detokenizer, type WrittenText } from '../text/detokenizer.js';
import type { TokenBytes } from '../text/token-bytes.js';
import { ConditionWindow } from './condition-window.js';
import type { EngineRequest, SequenceTiming } from './engine.js';
import type { EventSink } from './engine-events.js';
import { ReservedTiles } from './reserved-tiles.js';

/** What sequences of one model have in common. */
export interface SequenceModel {
  readonly bytes: TokenBytes;
  /** The forms that answers may be held to. */
  readonly constraints: Constraints;
  readonly hiddenSize: number;
  readonly maxPositions: number;
  readonly eosTokenIds: ReadonlySet<number>;
  /** Absent where the model does not draw. */
  readonly drawing?: { readonly startTokenId: number; readonly conditionRows: number; readonly maxDrawings: number };
  /** Absent: no token is guessed. */
  readonly speculation?: SpeculationOptions | undefined;
}

/**
 * One answer being written. Holds what the answer's text depends on and nothing of other sequences: `advance` takes
 * what a step computed and says what it means.
 */
export class Sequence implements Schedulable, CacheOwner {
  slot = -1;
  cachedTokens = 0;
  isDecoding = false;
  isUnderWay = false;
  /** Set when the sequence is to end with an error at the next step. */
  failure: TesseraError | undefined;
  /** What its last step could not do without, and was not there. */
  waitsFor: TesseraError | undefined;
  /** How often the cache was lost in a step of it since it gained its last token. */
  lossesInARow = 0;
  readonly tiles: ReservedTiles;
  /** When missing tiles are asked for next, Unix ms, and how often that was done since one arrived. */
  tilesDueMs = Number.POSITIVE_INFINITY;
  tileRequests = 0;

  readonly #model: SequenceModel;
  readonly #sampler: Sampler;
  readonly #stopTokenIds: ReadonlySet<number>;
  readonly #text: Detokenizer;
  /** Prompt and answer, as far as it is written. */
  readonly #tokenIds: number[];
  /** So many of them are computed before the next one is chosen. */
  #due: number;
  /** What stands at each position, of those computed and the next. */
  readonly #keys: number[];
  readonly #maxTokens: number;
  #condition: ConditionWindow | undefined;
  /** Of the tokens that were written and not given out yet. */
  readonly #likelihoods: TokenLikelihood[] = [];
  /** Tokens of the answer; one that ends it is left out. */
  #written = 0;
  #nextToken = 0;
  /** Made when guesses are asked for first. */
  #speculator: Speculator | undefined;
  /** What the next step may verify besides: guesses of what follows the next token. */
  #proposed: readonly number[] = [];
  #cachedPromptTokens = 0;
  #resumedAt = 0;
  /** Whether any of its positions were computed before it had to begin again. */
  #wasComputed = false;
  #drawings = 0;
  /** A drawing was asked for by the token that the next step computes; its text waits for that. */
  #drawingText: WrittenText | undefined;
  /** Drawings that forced tokens ask for and that are to be queued again, by the position of their token, in order. */
  readonly #dueAgain: { readonly drawing: number; readonly position: number }[] = [];
  #reason: FinishReason | undefined;
  #isSpoilt = false;
  readonly #submittedMs = performance.now();
  #prefillMs = 0;
  #firstTokenMs = 0;

  constructor(
    readonly request: EngineRequest,
    readonly sink: EventSink,
    model: SequenceModel,
  ) {
    const { prompt, forcedTokenIds, sampling } = request;
    this.#model = model;
    this.#stopTokenIds = new Set(request.stopTokenIds);
    const endTokenIds = [...model.eosTokenIds, ...request.stopTokenIds];
    const constraint = request.form && model.constraints.begin(request.form);
    this.#sampler = new Sampler(sampling, endTokenIds, constraint);
    this.#sampler.see(prompt.tokenIds);
    this.#sampler.resume(forcedTokenIds);
    this.#text = new Detokenizer(model.bytes, request.stops);
    this.#tokenIds = [...prompt.tokenIds, ...forcedTokenIds];
    this.#due = this.#tokenIds.length;
    this.#keys = [...request.contentKeys, ...forcedTokenIds];
    this.#maxTokens = Math.min(request.maxTokens, model.maxPositions - prompt.tokenIds.length);
    this.tiles = new ReservedTiles(prompt, model.hiddenSize);
    this.#condition = this.#newWindow();
    this.#takeUp(forcedTokenIds);
  }

  get isTakeover(): boolean {
    return this.request.isTakeover;
  }

  get priority(): number {
    return this.request.priority;
  }

  get client(): string {
    return this.request.client;
  }

  /** Prompt and answer at their longest. */
  get maxTokens(): number {
    return this.request.prompt.tokenIds.length + this.#maxTokens;
  }

  get content(): CacheContent {
    return { scope: this.request.cacheScope, keys: this.#keys };
  }

  /** All but the last position that is due, whose logits are wanted; and but those whose hidden states a drawing needs. */
  get reusable(): number {
    const { drawing } = this.#model;
    if (drawing === undefined) return this.#due - 1;
    const [again] = this.#dueAgain;
    return (again === undefined ? this.#due : again.position + 1) - drawing.conditionRows;
  }

  /** What failed in a step, or has numbers that are none, is of use to nobody. */
  get isSound(): boolean {
    return !this.#isSpoilt;
  }

  /** Its next positions failed to be computed, or have numbers that are none: it ends, and nothing of it is kept. */
  spoil(error: TesseraError): void {
    this.#isSpoilt = true;
    this.failure ??= error;
  }

  /** Tokens of its prompt that were in the cache when it first came to be computed. */
  get cachedPromptTokens(): number {
    return this.#cachedPromptTokens;
  }

  /** Takes it that so many of its positions will be found in the cache, so that their tiles are not waited for. */
  expect(positions: number): void {
    this.tiles.cover(positions);
  }

  resumeAt(positions: number): void {
    this.cachedTokens = positions;
    this.#resumedAt = positions;
    // Taken up again, it finds what it computed itself.
    if (!this.#wasComputed) this.#cachedPromptTokens = Math.min(positions, this.request.prompt.tokenIds.length);
    this.tiles.cover(positions);
  }

  /**
   * Forgets what was computed: its slot went to another, or holds nothing. What it has written stays written, and is
   * computed as a prompt is.
   */
  restart(): void {
    this.#wasComputed ||= this.cachedTokens > this.#resumedAt;
    this.isDecoding = false;
    this.#due = this.#tokenIds.length;
    this.tiles.reopen();
    this.resumeAt(0);
    this.#condition = this.#newWindow();
  }

  /** Whether nothing is left to compute; the reason why. */
  get finishReason(): FinishReason | undefined {
    return this.#drawingText === undefined && this.#dueAgain.length === 0 ? this.#reason : undefined;
  }

  /** Whether the sequence is to be let go of. */
  get hasEnded(): boolean {
    return this.failure !== undefined || this.finishReason !== undefined;
  }

  get promptTokens(): number {
    return this.#due;
  }

  get readyTokens(): number {
    return this.tiles.firstMissing ?? this.#due;
  }

  get completionTokens(): number {
    return this.#written;
  }

  propose(most: number): number {
    const { speculation, eosTokenIds } = this.#model;
    this.#proposed = [];
    if (speculation === undefined || this.#reason !== undefined) return 0;
    this.#speculator ??= new Speculator(speculation, this.maxTokens, new Set([...eosTokenIds, ...this.#stopTokenIds]));
    // Each token that comes true has one after it that is written too.
    const room = this.#maxTokens - this.#written - 1;
    this.#proposed = this.#speculator.propose(this.#keys, Math.min(most, room));
    return this.#proposed.length;
  }

  /** The tokens that the next decode step computes: one that is written, and guesses of what follows it. */
  nextTokens(count: number): readonly number[] {
    return [this.#nextToken, ...this.#proposed.slice(0, count - 1)];
  }

  /** Whether final hidden states are of use: conditions of drawings are made of them. */
  get wantsHidden(): boolean {
    return this.#condition !== undefined;
  }

  promptSlice(from: number, to: number): readonly number[] {
    return this.#tokenIds.slice(from, to);
  }

  get timing(): SequenceTiming {
    const now = performance.now();
    const prefillMs = this.#prefillMs || now;
    const firstTokenMs = this.#firstTokenMs || now;
    return {
      queueMs: prefillMs - this.#submittedMs,
      prefillMs: firstTokenMs - prefillMs,
      decodeMs: now - firstTokenMs,
    };
  }

  /** Tells that the first prefill chunk is about to be computed. */
  startPrefill(): void {
    if (this.#prefillMs > 0) return;
    this.#prefillMs = performance.now();
    this.sink.put({ type: 'prefillStarted' });
  }

  /**
   * Takes in what a step computed for this sequence's next positions. Guesses are gone through in their order, as if each
   * had been a step of its own, as long as each is what was written; what follows the first that is not was computed for
   * nothing, and is computed over.
   * @param positions how many
   * @param hidden float32 [positions, hidden], or empty
   * @param logits float32 [vocab] at the last of them; of guesses [positions, vocab]
   * @returns how many of the positions count
   */
  advance(positions: number, hidden: Float32Array, logits: Float32Array): number {
    if (!this.isDecoding) {
      this.#take(positions, hidden, logits);
      return positions;
    }
    const [width, words] = [hidden.length / positions, logits.length / positions];
    let taken = 0;
    do {
      const [from, to] = [taken, ++taken];
      this.#take(1, hidden.subarray(from * width, to * width), logits.subarray(from * words, to * words));
    } while (taken < positions && !this.hasEnded && this.#nextToken === this.#proposed[taken - 1]);
    if (positions > 1) this.#speculator?.settle(positions - 1, taken - 1, this.#keys.length);
    return taken;
  }

  /** @param logits float32 [vocab] at the last of the positions */
  #take(positions: number, hidden: Float32Array, logits: Float32Array): void {
    this.#takeHidden(hidden);
    this.cachedTokens += positions;
    if (this.cachedTokens < this.#due) return;
    this.lossesInARow = 0;
    this.tiles.clear();
    this.#emitDrawing();
    if (this.#reason === undefined) this.#write(this.#sampler.sample(logits, this.#written));
    if (this.#firstTokenMs === 0) this.#firstTokenMs = performance.now();
  }

  #newWindow(): ConditionWindow | undefined {
    const { drawing, hiddenSize } = this.#model;
    return drawing && new ConditionWindow(drawing.conditionRows, hiddenSize);
  }

  /** Goes through the tokens that the client has: they count, and are not given out again. */
  #takeUp(forcedTokenIds: readonly number[]): void {
    const { prompt, queuedDrawings } = this.request;
    let from = 0;
    for (const [index, id] of forcedTokenIds.entries()) {
      if (this.#asksForDrawing(id)) {
        this.#text.resume(forcedTokenIds.slice(from, index));
        this.#text.cut();
        from = index;
        const drawing = this.#drawings++;
        const position = prompt.tokenIds.length + this.#written;
        if (drawing >= queuedDrawings) this.#dueAgain.push({ drawing, position });
      }
      this.#written++;
    }
    this.#text.resume(forcedTokenIds.slice(from));
    this.#reason = this.#limitReached();
  }

  #write({ id, likelihood }: SampledToken): void {
    const reason = this.#endedBy(id);
    if (reason !== undefined) {
      this.#reason = reason;
      this.#emit(this.#text.finish());
      return;
    }
    const draws = this.#asksForDrawing(id);
    // A drawing has its place after all text that was written before it.
    if (draws) this.#emit(this.#text.cut());
    this.#nextToken = id;
    this.#tokenIds.push(id);
    this.#keys.push(id);
    this.#written++;
    if (likelihood !== undefined) this.#likelihoods.push(likelihood);
    let text = this.#text.push(id);
    this.#reason = this.#limitReached();
    if (this.#reason !== undefined && !this.#text.isStopped) text = join(text, this.#text.finish());
    if (draws) this.#drawingText = text;
    else this.#emit(text);
  }

  /** Why the answer ends where the token comes; it is not part of it. */
  #endedBy(id: number): FinishReason | undefined {
    if (this.#stopTokenIds.has(id)) return FinishReason.STOP;
    return this.#model.eosTokenIds.has(id) ? FinishReason.END : undefined;
  }

  #asksForDrawing(id: number): boolean {
    const { drawing } = this.#model;
    return drawing !== undefined && id === drawing.startTokenId && this.#drawings < drawing.maxDrawings;
  }

  /** Keeps the hidden states of the next positions; a drawing that is due again gets its condition at its own token. */
  #takeHidden(hidden: Float32Array): void {
    const window = this.#condition;
    if (window === undefined) return;
    const { hiddenSize } = this.#model;
    let taken = 0;
    for (let due = this.#dueAgain[0]; due !== undefined; due = this.#dueAgain[0]) {
      const end = (due.position + 1 - this.cachedTokens) * hiddenSize;
      if (end > hidden.length) break;
      window.push(hidden.subarray(taken, end));
      taken = end;
      this.sink.put({ type: 'drawing', drawing: due.drawing, condition: window.snapshot() });
      this.#dueAgain.shift();
    }
    window.push(hidden.subarray(taken));
  }

  #limitReached(): FinishReason | undefined {
    if (this.#text.isStopped) return FinishReason.STOP;
    return this.#written >= this.#maxTokens ? FinishReason.LENGTH : undefined;
  }

  #emitDrawing(): void {
    const text = this.#drawingText;
    if (text === undefined || this.#condition === undefined) return;
    this.#drawingText = undefined;
    const drawing = this.#drawings++;
    if (drawing >= this.request.queuedDrawings) {
      this.sink.put({ type: 'drawing', drawing, condition: this.#condition.snapshot() });
    }
    this.#emit(text);
  }

  #emit({ tokenIds, text }: WrittenText): void {
    if (tokenIds.length === 0 && text === '') return;
    // Tokens are given out in the order in which they were written.
    const asked = this.request.sampling.topLogprobs !== undefined;
    const likelihoods = asked ? { likelihoods: this.#likelihoods.splice(0, tokenIds.length) } : {};
    this.sink.put({ type: 'tokens', tokenIds, text, ...likelihoods });
  }
}

function join(a: WrittenText, b: WrittenText): WrittenText {
  return { tokenIds: [...a.tokenIds, ...b.tokenIds], text: a.text + b.text };
}
