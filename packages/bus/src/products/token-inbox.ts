import { EventQueue } from '@tessera/flow';
import { type Float32Tensor, failurePart, jobRoutes, type ProductPlace, type StageTiming } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import { Inbox } from './inbox.js';
import { mayImprove, readFailure, type StageFailure } from './stage-failure.js';
import { TensorAssembler } from './tensor-assembler.js';

/** One tile's visual tokens, complete. */
export interface TileTokens {
  readonly kind: 'tile';
  readonly item: number;
  readonly tile: number;
  readonly attempt: number;
  /** [tokens, LLM width]. */
  readonly tokens: Float32Tensor;
  readonly timings: StageTiming[];
}

export interface TokensOptions {
  /** Failures of earlier attempts than this are not told where another try could end better: they were dealt with. */
  readonly fromAttempt?: number;
}

/** The visual tokens that are sent to this process, for all its requests. */
export class TokenInbox {
  private readonly assembler: TensorAssembler;
  private readonly open = new Set<EventQueue<TileTokens | StageFailure>>();

  private constructor(
    private readonly connection: BusConnection,
    private readonly inbox: Inbox,
  ) {
    const onUnknownFields = (): void => connection.observer.unknownFields?.('tokens');
    this.assembler = new TensorAssembler(connection.limits, onUnknownFields);
  }

  static async open(connection: BusConnection, restore: () => Promise<void>): Promise<TokenInbox> {
    return new TokenInbox(connection, await Inbox.open(connection, 'tokens', restore));
  }

  /** Where stages are to send: jobs carry it. */
  get address(): string {
    return this.inbox.address;
  }

  /**
   * A request's visual tokens from now on, each tile once as soon as all its parts are there, and the failures of the
   * stages that make them. The way is open at once; it ends, without an error, when the signal aborts or the reader leaves.
   */
  receive(
    requestId: string,
    signal: AbortSignal,
    { fromAttempt = 0 }: TokensOptions = {},
  ): AsyncIterable<TileTokens | StageFailure> {
    let close = (): void => {};
    const onAbandoned = (): void => {
      close();
      this.open.delete(queue);
      this.assembler.forgetRequest(requestId);
    };
    const queue = new EventQueue<TileTokens | StageFailure>({ signal, onAbandoned });
    if (signal.aborted) return queue;
    this.open.add(queue);
    const failures = new Set<string>();
    close = this.inbox.open(requestId, {
      accept: (at, payload) => {
        if (at.part === failurePart) {
          const failure = this.failure(at, payload, fromAttempt, failures);
          if (failure !== undefined) queue.put(failure);
        } else {
          const tile = this.tile(at, payload);
          if (tile !== undefined) queue.put(tile);
        }
      },
    });
    return queue;
  }

  async close(): Promise<void> {
    for (const queue of this.open) queue.fail(this.connection.closedError());
    await this.inbox.close();
  }

  private failure(
    at: ProductPlace,
    payload: Uint8Array,
    fromAttempt: number,
    known: Set<string>,
  ): StageFailure | undefined {
    const failure = readFailure(this.connection, 'tokens', at, payload);
    if (failure === undefined || (failure.attempt < fromAttempt && mayImprove(failure))) return undefined;
    // An encoder's failure speaks for a range of tiles, of which this is only the first.
    if (failure.stage === jobRoutes.connect.stage && this.assembler.has(at)) return undefined;
    const name = `${at.item}/${at.tile}/${failure.attempt}/${failure.stage}`;
    if (known.has(name)) return undefined;
    known.add(name);
    return failure;
  }

  private tile(at: ProductPlace, payload: Uint8Array): TileTokens | undefined {
    const { log, observer } = this.connection;
    const outcome = this.assembler.add(at, payload);
    if (outcome.kind === 'complete') {
      const { item, tile, attempt, tensor, timings } = outcome.tensor;
      return { kind: 'tile', item, tile, attempt, tokens: tensor, timings };
    }
    if (outcome.kind === 'dropped') {
      observer.dropped?.('tokens', outcome.why);
      if (outcome.why !== 'duplicate') {
        log.warn({ ...at, why: outcome.why, detail: outcome.detail }, 'a part of visual tokens was dropped');
      }
    }
    return undefined;
  }
}
