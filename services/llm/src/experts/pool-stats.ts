import type { ShardCall } from '../shards/shard-calls.js';
import type { ShardAddress } from './shard-link.js';

/** What is known of a call of a shard when it is sent. */
export interface ExpertCallFacts {
  readonly shard: ShardAddress;
  readonly layer: number;
  /** How many experts it asks. */
  readonly experts: number;
  readonly rows: number;
}

/** Rows that were sent to one expert. */
interface RoutedRows {
  readonly layer: number;
  readonly expert: number;
  readonly rows: number;
}

/** What happened since it was last told. */
export interface PoolReport extends PoolCounts {
  /** Calls under way now, for each group of the placement. */
  readonly running: readonly { readonly group: string; readonly calls: number }[];
  /** Calls that are worth a word. */
  readonly calls: readonly ShardCall<ExpertCallFacts>[];
}

interface PoolCounts {
  readonly routed: readonly RoutedRows[];
  /** How long calls to shards took, in seconds. */
  readonly callSeconds: readonly number[];
  /** Calls that another holder was asked for, since one failed. */
  readonly failovers: number;
  /** Calls that another holder was asked for too, since one took long. */
  readonly hedges: number;
  /** Rows for which no holder was there. */
  readonly unavailableRows: number;
}

/** Counts until somebody asks. */
export class PoolStats {
  failovers = 0;
  hedges = 0;
  #unavailableRows = 0;
  #callSeconds: number[] = [];
  readonly #routed = new Map<number, number[]>();

  routed(layer: number, expert: number, rows: number): void {
    const experts = this.#routed.get(layer) ?? [];
    this.#routed.set(layer, experts);
    experts[expert] = (experts[expert] ?? 0) + rows;
  }

  called(seconds: number): void {
    this.#callSeconds.push(seconds);
  }

  unavailable(rows: number): void {
    this.#unavailableRows += rows;
  }

  /** Tells all, and begins anew. */
  take(): PoolCounts {
    const routed = [...this.#routed].flatMap(([layer, experts]) =>
      experts.flatMap((rows, expert) => (rows > 0 ? [{ layer, expert, rows }] : [])),
    );
    const { failovers, hedges } = this;
    const report = {
      routed,
      callSeconds: this.#callSeconds,
      failovers,
      hedges,
      unavailableRows: this.#unavailableRows,
    };
    this.#routed.clear();
    this.#callSeconds = [];
    this.failovers = 0;
    this.hedges = 0;
    this.#unavailableRows = 0;
    return report;
  }
}
