import type { ExpertCut } from '@tessera/bundle';
import {
  type ComputeRequest,
  type ComputeResponse,
  decodeTensor,
  ExpertServiceDefinition as definition,
  type ExpertBatch,
  type ExpertServiceDefinition,
  isErrorCode,
  TesseraError,
} from '@tessera/protocol';
import type { Exchange, TesseraClient } from '@tessera/service';
import { ExpertSet } from './expert-set.js';

/** A shard, as it announced itself. */
export interface ShardAddress {
  readonly shardId: string;
  /** host:port. */
  readonly address: string;
  readonly group: string;
}

export interface ShardLinkOptions {
  readonly shard: ShardAddress;
  readonly client: TesseraClient<ExpertServiceDefinition>;
  readonly cut: ExpertCut;
  readonly revision: string;
  readonly callTimeoutMs: number;
  /** The epoch of the placement in use. */
  readonly epoch: number;
  /** It holds something else, or takes calls, or takes none any more. */
  readonly onChange: () => void;
  /** Told why the stream ended, unless the shard went in peace. */
  readonly onLost: (error: TesseraError) => void;
}

interface Pending {
  readonly resolve: (answers: Float32Array) => void;
  readonly reject: (error: TesseraError) => void;
  readonly timer: NodeJS.Timeout;
}

/** A stream that ended is opened again after pauses of 50 ms to 2 s, for as long as the shard announces itself. */
const pausesMs = { first: 50, most: 2000 };

/** The stream to one shard, kept open. */
export class ShardLink {
  readonly #options: ShardLinkOptions;
  readonly #pending = new Map<number, Pending>();
  #stream: Exchange<ComputeRequest> | undefined;
  #held: ExpertSet;
  #epochs: { used: number; held: number };
  #nextCall = 1;
  #pauseMs = pausesMs.first;
  #retry: NodeJS.Timeout | undefined;
  #state: 'opening' | 'ready' | 'silent' | 'leaving' | 'left' | 'closed' = 'opening';

  constructor(options: ShardLinkOptions) {
    this.#options = options;
    this.#held = new ExpertSet(options.cut);
    this.#epochs = { used: options.epoch, held: 0 };
    this.#open();
  }

  get shard(): ShardAddress {
    return this.#options.shard;
  }

  /** What the shard said that it holds. */
  get held(): ExpertSet {
    return this.#held;
  }

  /** The epoch of the placement that it holds. */
  get epoch(): number {
    return this.#epochs.held;
  }

  /** Whether it takes calls: not while it is silent, that is, let a call wait for too long and has said nothing since. */
  get isReady(): boolean {
    return this.#state === 'ready';
  }

  /** Calls under way. */
  get load(): number {
    return this.#pending.size;
  }

  /** @throws TesseraError what the shard refused it for; STAGE_UNAVAILABLE where it did not answer or went away */
  call(batch: Omit<ExpertBatch, 'call'>): Promise<Float32Array> {
    const call = this.#nextCall++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#late(call), this.#options.callTimeoutMs);
      this.#pending.set(call, { resolve, reject, timer });
      this.#stream?.send({ message: { $case: 'batch', value: { call, ...batch } } });
    });
  }

  /** From now on only what this placement puts there is asked for. */
  use(epoch: number): void {
    this.#epochs.used = epoch;
    if (this.#state !== 'opening') this.#stream?.send({ message: { $case: 'placementEpoch', value: epoch } });
  }

  /** Takes no more calls; closes when those under way are over. */
  leave(): void {
    if (this.#pending.size === 0) this.close();
    else if (this.#state !== 'closed') this.#state = 'left';
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    clearTimeout(this.#retry);
    this.#stream?.cancel();
    this.#fail(new TesseraError('STAGE_UNAVAILABLE', `${this.#name} is gone`));
    this.#options.client.close();
  }

  get #name(): string {
    const { group, address } = this.#options.shard;
    return `the expert shard at ${address} (group ${group})`;
  }

  #open(): void {
    const { client, revision } = this.#options;
    const stream: Exchange<ComputeRequest> = client.exchange(definition.methods.compute, {
      onMessage: (message) => {
        if (stream === this.#stream) this.#hear(message);
      },
      onEnd: (error) => {
        if (stream === this.#stream) this.#lose(error);
      },
    });
    this.#stream = stream;
    stream.send({
      message: { $case: 'start', value: { revision, placementEpoch: this.#epochs.used } },
    });
  }

  #hear({ message }: ComputeResponse): void {
    if (this.#state === 'silent') this.#become('ready');
    switch (message?.$case) {
      case 'holdings': {
        const { placementEpoch, held, draining } = message.value;
        this.#held = new ExpertSet(this.#options.cut, held);
        this.#epochs.held = placementEpoch;
        this.#pauseMs = pausesMs.first;
        if (this.#state !== 'left') this.#become(draining ? 'leaving' : 'ready');
        break;
      }
      case 'answers': {
        const { call, rows } = message.value;
        this.#settle(call, ({ resolve, reject }) => {
          try {
            resolve(decodeTensor(rows).data);
          } catch (reason) {
            reject(TesseraError.from(reason));
          }
        });
        break;
      }
      case 'failure': {
        const { call, code, message: why } = message.value;
        const error = new TesseraError(isErrorCode(code) ? code : 'INTERNAL', `${this.#name}: ${why}`);
        this.#settle(call, ({ reject }) => reject(error));
        break;
      }
    }
    if (this.#state === 'leaving' && this.#pending.size === 0) this.#stream?.end();
  }

  #become(state: 'ready' | 'leaving' | 'silent'): void {
    this.#state = state;
    this.#options.onChange();
  }

  #late(call: number): void {
    const { callTimeoutMs } = this.#options;
    const error = new TesseraError('STAGE_UNAVAILABLE', `${this.#name} did not answer within ${callTimeoutMs} ms`);
    this.#settle(call, ({ reject }) => reject(error));
    // It is not asked again before it has said something; a late answer is enough.
    if (this.#state === 'ready') this.#become('silent');
  }

  #lose(error: TesseraError | undefined): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'left') {
      this.close();
      return;
    }
    const inPeace = error === undefined;
    this.#stream = undefined;
    this.#held = new ExpertSet(this.#options.cut);
    this.#state = 'opening';
    this.#fail(new TesseraError('STAGE_UNAVAILABLE', `${this.#name} went away`, { cause: error }));
    // Once, and not at each try, until it has been there again.
    if (!inPeace && this.#pauseMs === pausesMs.first) this.#options.onLost(error);
    this.#options.onChange();
    this.#retry = setTimeout(() => this.#open(), this.#pauseMs);
    this.#pauseMs = Math.min(pausesMs.most, this.#pauseMs * 2);
  }

  #fail(error: TesseraError): void {
    for (const call of [...this.#pending.keys()]) this.#settle(call, ({ reject }) => reject(error));
  }

  /** An answer to a call that is given up is nobody's. */
  #settle(call: number, how: (pending: Pending) => void): void {
    const pending = this.#pending.get(call);
    if (pending === undefined) return;
    this.#pending.delete(call);
    clearTimeout(pending.timer);
    how(pending);
    if (this.#state === 'left') this.leave();
  }
}
