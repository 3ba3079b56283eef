import {
  DataType,
  encodeTensorParts,
  type LayerCall,
  type LayerRow,
  LayerServiceDefinition,
  type LayerServiceDescribeResponse,
  type RunRequest,
  type RunResponse,
  TensorCollector,
  TesseraError,
} from '@tessera/protocol';
import { exchange, type GrpcService, grpcService, type ServedStream, type StreamListener } from '@tessera/service';
import { ComputeSpans } from '../layer-spans.js';
import type { LayerShard } from './layer-shard.js';
import type { ShardCache } from './shard-cache.js';

export interface LayerServerOptions {
  readonly shard: LayerShard;
  readonly description: Pick<LayerServiceDescribeResponse, 'model' | 'hiddenSize'>;
  /** Aborted when the shard shuts down. */
  readonly drain: AbortSignal;
  /** How often an engine is given a sign of life while something that it asked for is not done. */
  readonly signMs: number;
}

/** A call whose hidden states have not all come. */
interface OpenCall {
  readonly call: number;
  readonly rows: readonly LayerRow[];
  readonly parts: TensorCollector;
  readonly as: 'float32' | 'float16';
}

/** The shard's gRPC door. */
export function layerService({ shard, description, drain, signMs }: LayerServerOptions): GrpcService {
  const spans = new ComputeSpans(shard.piece);
  const run = exchange<RunRequest, RunResponse>((stream) => new LayerStream(stream, { shard, drain, signMs, spans }));
  const describe = async (): Promise<LayerServiceDescribeResponse> => ({ ...description, holdings: shard.holdings });
  return grpcService(LayerServiceDefinition, { describe, run }, { callers: 'services', staysOpen: true });
}

interface LayerStreamOptions {
  readonly shard: LayerShard;
  readonly drain: AbortSignal;
  readonly signMs: number;
  readonly spans: ComputeSpans;
}

/** One engine's stream, with a cache of its own. What comes on it is done in order. */
class LayerStream implements StreamListener<RunRequest> {
  readonly #stream: ServedStream<RunResponse>;
  readonly #options: LayerStreamOptions;
  #cache: ShardCache | undefined;
  #call: OpenCall | undefined;
  #isBusy = false;
  #signs: NodeJS.Timeout | undefined;

  constructor(stream: ServedStream<RunResponse>, options: LayerStreamOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  onMessage({ message }: RunRequest): Promise<void> | undefined {
    if (this.#cache === undefined) {
      if (message?.$case !== 'start') throw TesseraError.invalidField('start', 'is missing; a stream begins with it');
      this.#cache = this.#options.shard.open(message.value);
      this.#tellHoldings();
      this.#signs = setInterval(this.#giveSign, this.#options.signMs);
      this.#options.drain.addEventListener('abort', this.#onDrain, { once: true });
      return undefined;
    }
    this.#isBusy = true;
    return this.#obey(message, this.#cache).then(() => {
      this.#isBusy = false;
    });
  }

  onHalfClose(): void {
    this.#stream.end();
  }

  onClose(): void {
    clearInterval(this.#signs);
    this.#options.drain.removeEventListener('abort', this.#onDrain);
    void this.#cache?.close();
  }

  /** Only the engine knows when it is between two steps: it goes when it can. */
  readonly #onDrain = (): void => this.#tellHoldings();

  /** One that waits for other engines' calls, or computes for long, is not taken for one that hangs; one that hangs is. */
  readonly #giveSign = (): void => {
    if (this.#isBusy && !this.#options.shard.progress.isStalled) this.#tellHoldings();
  };

  #tellHoldings(): void {
    this.#stream.send({ message: { $case: 'holdings', value: this.#options.shard.holdings } });
  }

  async #obey(message: RunRequest['message'], cache: ShardCache): Promise<void> {
    switch (message?.$case) {
      case 'plan': {
        const noMemory = (await cache.plan(message.value)) ?? '';
        this.#stream.send({ message: { $case: 'planned', value: { step: message.value.step, noMemory } } });
        return;
      }
      case 'call':
        await this.#take(message.value, cache);
        return;
      case 'forget':
        cache.forget();
        return;
      default:
        throw TesseraError.invalidField('message', 'is no plan, no call and no forget');
    }
  }

  /** Takes the next part of a call in, and computes with the last one. */
  async #take(message: LayerCall, cache: ShardCache): Promise<void> {
    const open = this.#call ?? begin(message, cache);
    if (open.call !== message.call) {
      throw TesseraError.invalidField('call.call', `is ${message.call}, while parts of call ${open.call} are missing`);
    }
    const hidden = open.parts.add(message.hidden);
    this.#call = hidden === undefined ? open : undefined;
    if (hidden === undefined) return;
    const { call, rows, as } = open;
    try {
      const computed = await this.#options.spans.sample(rows, () => cache.compute(rows, hidden.data));
      for (const part of encodeTensorParts({ dtype: 'float32', shape: hidden.shape, data: computed }, as)) {
        this.#stream.send({ message: { $case: 'result', value: { call, hidden: part } } });
      }
    } catch (reason) {
      const { code, message: why } = TesseraError.from(reason);
      this.#stream.send({ message: { $case: 'failure', value: { call, code, message: why } } });
    }
  }
}

function begin({ call, rows, hidden }: LayerCall, cache: ShardCache): OpenCall {
  const as = hidden?.dataType === DataType.FLOAT16 ? 'float16' : 'float32';
  return { call, rows, parts: new TensorCollector(cache.elementsOf(rows), 'call.hidden'), as };
}
