import type { GenerateRequest } from '@tessera/protocol';
import { Admission } from '@tessera/stage';
import type { EngineLimits } from './engine/engine.js';
import { isTakeover } from './engine/engine-request.js';

/**
 * Keeps prompts from being built when the engine can surely have no room for them. The engine's own limits are the exact
 * ones; here a call counts from its first byte to its last, so there is room for as many more as can just be ending.
 *
 * Each kind has a limit of its own: pictures that wait for an encoder keep out no text, and neither keeps out what is
 * taken over from another engine.
 */
export class GenerateAdmission {
  readonly #text: Admission;
  readonly #media: Admission;
  readonly #takeovers: Admission;

  /** @param retryAfterMs when a place comes free, by a guess */
  constructor(limits: EngineLimits, drain: AbortSignal, retryAfterMs: () => number) {
    const { maxRunning, maxWaiting, maxWaitingForTiles, maxTakeovers } = limits;
    const places = 2 * maxRunning + maxWaiting;
    this.#text = new Admission('Generate calls without media', places, drain, retryAfterMs);
    this.#media = new Admission('Generate calls with media', places + maxWaitingForTiles, drain, retryAfterMs);
    this.#takeovers = new Admission('Generate calls taken over', 2 * maxRunning + maxTakeovers, drain, retryAfterMs);
  }

  /**
   * Begins a call; dispose of what is returned when it ends.
   * @throws TesseraError DRAINING, QUEUE_FULL
   */
  enter(request: GenerateRequest): Disposable {
    if (isTakeover(request)) return this.#takeovers.enter();
    return request.media.length > 0 ? this.#media.enter() : this.#text.enter();
  }

  /** Resolves when no call is running. Call it after the drain began. */
  async idle(): Promise<void> {
    await Promise.all([this.#text.idle(), this.#media.idle(), this.#takeovers.idle()]);
  }
}
