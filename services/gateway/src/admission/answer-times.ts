import type { EngineOutlook } from '../routing/engine-pool.js';
import { Mean } from './mean.js';

/** An answer's text that was written to its end. */
export interface WrittenAnswer {
  /** What the engine measured: until the first token, and from there to the last. */
  readonly timing: { readonly prefillMs: number; readonly decodeMs: number };
  /** Tokens of the answer. */
  readonly tokens: number;
  /** Whether its prompt had media: then its prefill waited for them. */
  readonly hasMedia: boolean;
  /** Whether another choice of its request had the prompt computed: then its prefill was of the prompt's end only. */
  readonly promptShared: boolean;
}

/** What answers take on the engines, by those that this gateway saw. */
export class AnswerTimes {
  private readonly slotMs = new Mean();
  private readonly prefillMs = new Mean();
  private readonly tokenMs = new Mean();
  private readonly tokens = new Mean();
  /** The fastest that were seen: in little company. */
  private leastPrefillMs = Number.POSITIVE_INFINITY;
  private leastTokenMs = Number.POSITIVE_INFINITY;

  written({ timing, tokens, hasMedia, promptShared }: WrittenAnswer): void {
    this.slotMs.add(timing.prefillMs + timing.decodeMs);
    this.tokens.add(tokens);
    if (!hasMedia && !promptShared) {
      this.prefillMs.add(timing.prefillMs);
      this.leastPrefillMs = Math.min(this.leastPrefillMs, timing.prefillMs);
    }
    if (tokens > 1) {
      const tokenMs = timing.decodeMs / (tokens - 1);
      this.tokenMs.add(tokenMs);
      this.leastTokenMs = Math.min(this.leastTokenMs, tokenMs);
    }
  }

  /** Milliseconds until an engine has a slot for a request that comes now; 0 while nothing is known of answers. */
  waitMs({ slots, load }: EngineOutlook): number {
    const ahead = load - slots + 1;
    return ahead <= 0 || slots === 0 ? 0 : (ahead * (this.slotMs.value ?? 0)) / slots;
  }

  /** Milliseconds until all that the engines hold is answered; 0 while nothing is known of answers. */
  drainMs({ slots, load }: EngineOutlook): number {
    // What runs alone in its slot is no sooner done than what others share a slot with.
    return slots === 0 || load === 0 ? 0 : (Math.max(load, slots) * (this.slotMs.value ?? 0)) / slots;
  }

  /**
   * Milliseconds from the slot to the last token: what it takes alone, and what it takes more in the company that there is.
   * @param maxTokens what the request allows at most, if it says
   */
  answerMs(maxTokens: number | undefined, { slots, load }: EngineOutlook): { alone: number; inCompany: number } {
    const tokens = Math.min(maxTokens ?? Number.POSITIVE_INFINITY, this.tokens.value ?? 0);
    const meanMs = (this.prefillMs.value ?? 0) + tokens * (this.tokenMs.value ?? 0);
    const known = (least: number): number => (Number.isFinite(least) ? least : 0);
    const alone = Math.min(meanMs, known(this.leastPrefillMs) + tokens * known(this.leastTokenMs));
    // Sequences that run together share the machine: those that were timed ran in such company as is usual.
    const inCompany = (meanMs - alone) * Math.min(1, load / Math.max(1, slots));
    return { alone, inCompany };
  }
}
