import { inWords, type MissingExperts } from './missing-experts.js';

/**
 * Whether an engine takes work, by whether all experts of its placement are held. It begins once all of them are. After that
 * a shard may be away for a while, since those who need it wait for its successor, and every other engine lacks the same.
 */
export class ExpertPresence {
  readonly #graceMs: number;
  readonly #onChange: (missing: MissingExperts) => void;
  #missing: MissingExperts | undefined;
  #missingSinceMs = 0;
  #takesWork = false;
  /** All were there once. */
  #hasBegun = false;

  /**
   * @param graceMs so long an engine that takes work goes on doing so while experts are missing
   * @param onChange told when some are missing, and when none is any more, but not before all were there once
   */
  constructor(graceMs: number, onChange: (missing: MissingExperts) => void) {
    this.#graceMs = graceMs;
    this.#onChange = onChange;
  }

  /** In words that follow "waiting for". */
  get what(): string {
    if (this.#missing === undefined) return 'the experts to be looked for';
    return `a shard that holds ${inWords(this.#missing)}`;
  }

  /** Takes in what the engine says. */
  note(missing: MissingExperts, nowMs = performance.now()): void {
    const lacked = this.#missing?.count !== 0;
    const lacks = missing.count > 0;
    this.#missing = missing;
    if (lacks && !lacked) this.#missingSinceMs = nowMs;
    if (lacks !== lacked && this.#hasBegun) this.#onChange(missing);
    if (lacks) return;
    this.#hasBegun = true;
    this.#takesWork = true;
  }

  /** Whether work is taken. */
  holds(nowMs = performance.now()): boolean {
    if (this.#missing !== undefined && this.#missing.count > 0 && nowMs - this.#missingSinceMs >= this.#graceMs) {
      this.#takesWork = false;
    }
    return this.#takesWork;
  }
}
