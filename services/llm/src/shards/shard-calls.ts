import { toWireError, type WireError } from '@tessera/inference';

/** A call of a shard that is over, with what was known of it when it was sent. Structured-cloneable. */
export type ShardCall<Facts> = Facts & {
  /** Unix milliseconds, with their fraction. */
  readonly startedMs: number;
  readonly endedMs: number;
  /** Why it has no answer. */
  readonly failure?: WireError;
};

/** So many calls that failed are told of at most, each time. */
const maxFailed = 64;

/**
 * Which of the calls are worth a word: of each kind the one that took longest, and those that failed, up to a bound. A step
 * makes one for each layer and shard, far more than anybody could read.
 */
export class ShardCalls<Facts extends object> {
  readonly #kindOf: (facts: Facts) => string;
  readonly #longest = new Map<string, ShardCall<Facts>>();
  #failed: ShardCall<Facts>[] = [];

  /** @param kindOf of what kind a call is */
  constructor(kindOf: (facts: Facts) => string) {
    this.#kindOf = kindOf;
  }

  /** Watches a call. Returns the same promise. */
  follow<T>(facts: Facts, answer: Promise<T>): Promise<T> {
    const startedMs = unixMs();
    answer.then(
      () => this.#answered({ ...facts, startedMs, endedMs: unixMs() }),
      (reason: unknown) => {
        if (this.#failed.length === maxFailed) return;
        this.#failed.push({ ...facts, startedMs, endedMs: unixMs(), failure: toWireError(reason) });
      },
    );
    return answer;
  }

  /** Those since it was last asked. */
  take(): readonly ShardCall<Facts>[] {
    const calls = [...this.#longest.values(), ...this.#failed];
    this.#longest.clear();
    this.#failed = [];
    return calls;
  }

  #answered(call: ShardCall<Facts>): void {
    const kind = this.#kindOf(call);
    const longest = this.#longest.get(kind);
    if (longest === undefined || tookMs(call) > tookMs(longest)) this.#longest.set(kind, call);
  }
}

function tookMs({ startedMs, endedMs }: ShardCall<object>): number {
  return endedMs - startedMs;
}

function unixMs(): number {
  return performance.timeOrigin + performance.now();
}
