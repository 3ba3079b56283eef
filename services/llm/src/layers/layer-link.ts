import {
  LayerServiceDefinition as definition,
  encodeTensorParts,
  isErrorCode,
  type LayerServiceDefinition,
  type RunRequest,
  type RunResponse,
  TensorCollector,
  TesseraError,
} from '@tessera/protocol';
import type { Exchange, TesseraClient } from '@tessera/service';
import type { HostCacheOptions } from '../model/host-cache.js';
import type { LayerPiece } from '../model/layer-pieces.js';
import type { NoMemory, PlannedRow, StepPlan } from '../model/step-plan.js';
import { encodePlan, encodeRows } from './plan-message.js';

/** A shard of the link's piece, as it announced itself; one that shuts down is not among them. */
export interface LayerShardAddress {
  readonly shardId: string;
  /** host:port. */
  readonly address: string;
  readonly piece: number;
  /** Of its cache. */
  readonly freePositions: number;
}

export interface LayerLinkOptions {
  readonly piece: number;
  readonly revision: string;
  readonly hiddenSize: number;
  readonly size: HostCacheOptions;
  /** Of cache that the engine may come to use. */
  readonly positions: number;
  /** In which hidden states travel. */
  readonly rowType: 'float32' | 'float16';
  readonly callTimeoutMs: number;
  readonly connect: (address: string) => TesseraClient<LayerServiceDefinition>;
  /** It takes calls, or takes none any more. */
  readonly onChange: () => void;
  /** Its cache is gone, and why. */
  readonly onLost: (error: TesseraError) => void;
  /** Told why a shard will not do, or is gone. */
  readonly onTrouble: (error: TesseraError) => void;
  /** Told of each call when it begins, with what comes of it. */
  readonly onCall: (call: LayerCallFacts, answer: Promise<unknown>) => void;
}

export interface LayerCallFacts {
  readonly piece: number;
  readonly address: string;
  readonly rows: number;
  readonly positions: number;
}

interface Pending {
  readonly resolve: (value: Float32Array) => void;
  readonly reject: (error: TesseraError) => void;
  readonly parts: TensorCollector;
}

interface PendingPlan {
  readonly resolve: (value: NoMemory | undefined) => void;
  readonly reject: (error: TesseraError) => void;
}

/** After a shard failed, it is tried again after pauses of 50 ms to 2 s; another one at once. */
const pausesMs = { first: 50, most: 2000 };

/** A shard that shuts down, and for which there is no other one, is left when no step was begun for so long. */
const quietMs = 1000;

/** Of failures of a call, those that are the call's own; any other is its shard's. */
const faultsOfCalls: ReadonlySet<string> = new Set(['REQUEST_INVALID', 'TENSOR_INVALID']);

/** The stream to the shard that holds a piece for this engine: one of those that announce it, and the next one when that is gone. */
export class LayerLink implements LayerPiece {
  readonly #options: LayerLinkOptions;
  readonly #calls = new Map<number, Pending>();
  readonly #plans = new Map<number, PendingPlan>();
  /** Of shards that were given up and have computed nothing since: when they may be tried again, and how long the pause is. */
  readonly #pauses = new Map<string, { readonly untilMs: number; readonly ms: number }>();
  #candidates: readonly LayerShardAddress[] = [];
  #open:
    | {
        readonly shard: LayerShardAddress;
        readonly client: TesseraClient<LayerServiceDefinition>;
        readonly stream: Exchange<RunRequest>;
      }
    | undefined;
  #state: 'away' | 'opening' | 'ready' | 'closed' = 'away';
  #isLeaving = false;
  #isInStep = false;
  #quiet: NodeJS.Timeout | undefined;
  #next = 1;
  #retry: NodeJS.Timeout | undefined;
  #patience: NodeJS.Timeout | undefined;
  #why: TesseraError | undefined;

  constructor(options: LayerLinkOptions) {
    this.#options = options;
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  /** What the last shard was given up for. */
  get why(): TesseraError | undefined {
    return this.#why;
  }

  /** Calls under way. */
  get load(): number {
    return this.#calls.size;
  }

  /** Who holds the piece now. */
  setShards(shards: readonly LayerShardAddress[]): void {
    this.#candidates = shards;
    const ids = new Set(shards.map(({ shardId }) => shardId));
    for (const shardId of this.#pauses.keys()) if (!ids.has(shardId)) this.#pauses.delete(shardId);
    if (this.#state === 'away') this.#look();
    this.#goOver();
  }

  prepare(cache: StepPlan['cache']): Promise<NoMemory | undefined> {
    const step = this.#next++;
    this.#isInStep = true;
    clearTimeout(this.#quiet);
    return new Promise((resolve, reject) => {
      if (!this.isReady) {
        reject(this.#gone());
        return;
      }
      this.#plans.set(step, { resolve, reject });
      this.#send({ message: { $case: 'plan', value: { step, ...encodePlan(cache) } } });
    });
  }

  run(rows: readonly PlannedRow[], hidden: Float32Array): Promise<Float32Array> {
    const call = this.#next++;
    this.#isInStep = true;
    clearTimeout(this.#quiet);
    const { hiddenSize, rowType, piece } = this.#options;
    const positions = hidden.length / hiddenSize;
    const answer = new Promise<Float32Array>((resolve, reject) => {
      if (!this.isReady) {
        reject(this.#gone());
        return;
      }
      const parts = new TensorCollector(hidden.length, 'result.hidden');
      this.#calls.set(call, { resolve, reject, parts });
      let first = true;
      const tensor = { dtype: 'float32', shape: [positions, hiddenSize], data: hidden } as const;
      for (const part of encodeTensorParts(tensor, rowType)) {
        this.#send({
          message: { $case: 'call', value: { call, rows: first ? encodeRows(rows) : [], hidden: part } },
        });
        first = false;
      }
    });
    this.#options.onCall({ piece, address: this.#open?.shard.address ?? '', rows: rows.length, positions }, answer);
    return answer;
  }

  forget(): void {
    if (this.isReady) this.#send({ message: { $case: 'forget', value: {} } });
  }

  /** The step is over, in the engine too: until the next one the shard can be left without harm to any. */
  rest(): void {
    this.#isInStep = false;
    this.#leaveIfQuiet();
  }

  close(): void {
    clearTimeout(this.#retry);
    const was = this.#state;
    this.#state = 'closed';
    if (was !== 'away' && was !== 'closed') this.#letGo(this.#gone());
  }

  get #name(): string {
    return `the layer shard at ${this.#open?.shard.address} (piece ${this.#options.piece})`;
  }

  #gone(cause?: unknown): TesseraError {
    const what =
      this.#open === undefined ? `piece ${this.#options.piece} is held by no layer shard` : `${this.#name} is gone`;
    return new TesseraError('STAGE_UNAVAILABLE', what, { cause, stage: 'layers' });
  }

  /** Tries the shard whose pause is over first, if there is one, now or then. */
  #look(): void {
    clearTimeout(this.#retry);
    const dueMs = ({ shardId }: LayerShardAddress): number =>
      this.#pauses.get(shardId)?.untilMs ?? Number.NEGATIVE_INFINITY;
    const [shard] = [...this.#candidates].sort((a, b) => dueMs(a) - dueMs(b) || b.freePositions - a.freePositions);
    if (shard === undefined) return;
    const waitMs = dueMs(shard) - performance.now();
    if (waitMs <= 0) this.#connect(shard);
    else this.#retry = setTimeout(() => this.#look(), waitMs);
  }

  #connect(shard: LayerShardAddress): void {
    const { connect, revision, piece, size, positions } = this.#options;
    const client = connect(shard.address);
    const stream: Exchange<RunRequest> = client.exchange(definition.methods.run, {
      onMessage: (message) => {
        if (stream === this.#open?.stream) this.#hear(message);
      },
      onEnd: (error) => {
        if (stream === this.#open?.stream) this.#lose(error);
      },
    });
    this.#open = { shard, client, stream };
    this.#state = 'opening';
    const { slots, maxPositions } = size;
    this.#send({
      message: { $case: 'start', value: { revision, piece, slots, maxPositions, positions: BigInt(positions) } },
    });
  }

  #send(message: RunRequest): void {
    this.#open?.stream.send(message);
    if (this.#patience === undefined) this.#wait();
  }

  /** A shard that says nothing for so long, though it has something to answer, is as good as gone. */
  #wait(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    if (this.#state !== 'opening' && this.#calls.size === 0 && this.#plans.size === 0) return;
    const { callTimeoutMs } = this.#options;
    this.#patience = setTimeout(() => {
      this.#lose(new TesseraError('STAGE_UNAVAILABLE', `${this.#name} did not answer within ${callTimeoutMs} ms`));
    }, callTimeoutMs);
  }

  #hear({ message }: RunResponse): void {
    switch (message?.$case) {
      case 'holdings':
        if (message.value.draining && !this.#isLeaving) {
          this.#isLeaving = true;
          this.#leaveIfQuiet();
        }
        if (this.#state === 'opening') {
          this.#state = 'ready';
          this.#why = undefined;
          this.#options.onChange();
        }
        this.#goOver();
        break;
      case 'planned': {
        const { step, noMemory } = message.value;
        const plan = this.#plans.get(step);
        this.#plans.delete(step);
        plan?.resolve(noMemory === '' ? undefined : { noMemory: new RangeError(`${this.#name}: ${noMemory}`) });
        break;
      }
      case 'result': {
        const { call, hidden } = message.value;
        const pending = this.#calls.get(call);
        try {
          const whole = pending?.parts.add(hidden);
          if (whole === undefined) break;
          this.#calls.delete(call);
          // Not before: one that only takes streams is of no use.
          this.#pauses.delete(this.#open?.shard.shardId ?? '');
          pending?.resolve(whole.data);
        } catch (reason) {
          this.#calls.delete(call);
          pending?.reject(TesseraError.from(reason));
        }
        break;
      }
      case 'failure': {
        const { call, code, message: why } = message.value;
        const error = new TesseraError(isErrorCode(code) ? code : 'INTERNAL', `${this.#name}: ${why}`);
        // One that cannot compute would fail at other calls too, and another one may do better.
        if (!faultsOfCalls.has(code)) {
          this.#lose(error);
          return;
        }
        const pending = this.#calls.get(call);
        this.#calls.delete(call);
        pending?.reject(error);
        break;
      }
    }
    this.#wait();
  }

  /** A shard that shuts down is left when another one has room and has not failed: what it holds is lost either way. */
  #goOver(): void {
    const current = this.#open?.shard.shardId;
    if (this.#state !== 'ready' || !this.#isLeaving) return;
    const takes = ({ shardId, freePositions }: LayerShardAddress): boolean =>
      shardId !== current && freePositions >= this.#options.positions && !this.#pauses.has(shardId);
    if (this.#candidates.some(takes)) this.#leave();
  }

  #leaveIfQuiet(): void {
    clearTimeout(this.#quiet);
    if (this.#isLeaving && !this.#isInStep) this.#quiet = setTimeout(() => this.#leave(), quietMs);
  }

  #leave(): void {
    this.#lose(new TesseraError('DRAINING', `${this.#name} shuts down`));
  }

  #lose(cause: TesseraError | undefined): void {
    if (this.#state === 'closed' || this.#open === undefined) return;
    const { onTrouble, onLost, onChange } = this.#options;
    const wasReady = this.isReady;
    const error = wasReady || cause === undefined ? this.#lostBy(cause) : cause;
    const { shardId } = this.#open.shard;
    const ms = Math.min(pausesMs.most, (this.#pauses.get(shardId)?.ms ?? pausesMs.first / 2) * 2);
    this.#pauses.set(shardId, { untilMs: performance.now() + ms, ms });
    this.#state = 'away';
    const isNews = this.#why?.message !== error.message;
    this.#why = error;
    this.#letGo(error);
    if (isNews) onTrouble(error);
    if (wasReady) onLost(error);
    onChange();
    this.#look();
  }

  #lostBy(cause: TesseraError | undefined): TesseraError {
    const why = cause === undefined ? '' : `: ${cause.message}`;
    return new TesseraError('STAGE_UNAVAILABLE', `${this.#name} went away${why}`, { cause, stage: 'layers' });
  }

  #letGo(error: TesseraError): void {
    clearTimeout(this.#patience);
    clearTimeout(this.#quiet);
    this.#patience = undefined;
    const { client, stream } = this.#open ?? {};
    this.#open = undefined;
    this.#isLeaving = false;
    for (const pending of [...this.#calls.values(), ...this.#plans.values()]) pending.reject(error);
    this.#calls.clear();
    this.#plans.clear();
    stream?.cancel();
    client?.close();
  }
}
