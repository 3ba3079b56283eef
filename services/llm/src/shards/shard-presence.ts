/** What an engine says of what no shard holds. */
export interface Missing {
  readonly count: number;
}

export interface ShardPresenceOptions<M extends Missing> {
  /** So long an engine that takes work goes on doing so while something is missing, in milliseconds. */
  readonly graceMs: number;
  /** In words that follow "waiting for"; undefined before the engine has said anything. */
  readonly inWords: (missing: M | undefined) => string;
  /** Told when something is missing, and when nothing is any more, but not before all was there once. */
  readonly onChange: (missing: M) => void;
}

/**
 * Whether an engine takes work, by whether shards hold all that it has not itself. It begins once they do. After that
 * a shard may be away for a while, since those who need it wait for its successor, and every other engine lacks the same.
 * One that comes and goes is away in all that time: only once all were there for as long does the while begin anew.
 */
export class ShardPresence<M extends Missing> {
  readonly #options: ShardPresenceOptions<M>;
  #missing: M | undefined;
  #missingSinceMs = 0;
  /** Before that, since all were there for as long as the grace. */
  #missedMs = 0;
  #heldSinceMs = Number.NEGATIVE_INFINITY;
  #takesWork = false;
  /** All were there once. */
  #hasBegun = false;

  constructor(options: ShardPresenceOptions<M>) {
    this.#options = options;
  }

  /** In words that follow "waiting for". */
  get what(): string {
    return this.#options.inWords(this.#missing);
  }

  /** Takes in what the engine says. */
  note(missing: M, nowMs = performance.now()): void {
    const lacked = this.#missing?.count !== 0;
    const lacks = missing.count > 0;
    this.#missing = missing;
    if (lacks && !lacked) {
      if (nowMs - this.#heldSinceMs >= this.#options.graceMs) this.#missedMs = 0;
      this.#missingSinceMs = nowMs;
    } else if (!lacks && lacked) {
      if (this.#hasBegun) this.#missedMs += nowMs - this.#missingSinceMs;
      this.#heldSinceMs = nowMs;
    }
    if (lacks !== lacked && this.#hasBegun) this.#options.onChange(missing);
    if (lacks) return;
    this.#hasBegun = true;
    this.#takesWork = true;
  }

  /** Whether work is taken. */
  holds(nowMs = performance.now()): boolean {
    if (
      this.#missing !== undefined &&
      this.#missing.count > 0 &&
      this.#missedMs + nowMs - this.#missingSinceMs >= this.#options.graceMs
    ) {
      this.#takesWork = false;
    }
    return this.#takesWork;
  }
}
