import { toWireError, type WireError } from '@tessera/inference';
import type { ShardAddress } from './shard-link.js';

/** What is known of a call of a shard when it is sent. */
interface ShardCallFacts {
  readonly shard: ShardAddress;
  readonly layer: number;
  /** How many experts it asks. */
  readonly experts: number;
  readonly rows: number;
}

/** A call of a shard that is over. Structured-cloneable. */
export interface ShardCall extends ShardCallFacts {
  /** Unix milliseconds, with their fraction. */
  readonly startedMs: number;
  readonly endedMs: number;
  /** Why it has no answer. */
  readonly failure?: WireError;
}

/** So many calls that failed are told of at most, each time. */
const maxFailed = 64;

/**
 * Which of the calls are worth a word: of each group the one that took longest, and those that failed, up to a bound. A step
 * makes one for each layer and shard, far more than anybody could read.
 */
export class ShardCalls {
  readonly #longest = new Map<string, ShardCall>();
  #failed: ShardCall[] = [];

  /** Watches a call. Returns the same promise. */
  follow<T>(facts: ShardCallFacts, answer: Promise<T>): Promise<T> {
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
  take(): readonly ShardCall[] {
    const calls = [...this.#longest.values(), ...this.#failed];
    this.#longest.clear();
    this.#failed = [];
    return calls;
  }

  #answered(call: ShardCall): void {
    const { group } = call.shard;
    const longest = this.#longest.get(group);
    if (longest === undefined || tookMs(call) > tookMs(longest)) this.#longest.set(group, call);
  }
}

function tookMs({ startedMs, endedMs }: ShardCall): number {
  return endedMs - startedMs;
}

function unixMs(): number {
  return performance.timeOrigin + performance.now();
}
