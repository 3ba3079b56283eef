import { EventQueue } from '@tessera/flow';
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
import { type GrpcService, grpcService, type TesseraCallContext } from '@tessera/service';
import { ComputeSpans } from '../layer-spans.js';
import type { LayerShard } from './layer-shard.js';
import type { ShardCache } from './shard-cache.js';

export interface LayerServerOptions {
  readonly shard: LayerShard;
  readonly description: Pick<LayerServiceDescribeResponse, 'model' | 'hiddenSize'>;
  /** Aborted when the shard shuts down. */
  readonly drain: AbortSignal;
}

/** A stream on which nothing was asked for so long is ended when the shard shuts down. */
const quietMs = 1000;

/** A call whose hidden states have not all come. */
interface OpenCall {
  readonly call: number;
  readonly rows: readonly LayerRow[];
  readonly parts: TensorCollector;
  readonly as: 'float32' | 'float16';
}

/** The shard's gRPC door. Each stream has a cache of its own, and what comes on it is done in order. */
export function layerService({ shard, description, drain }: LayerServerOptions): GrpcService {
  const spans = new ComputeSpans(shard.piece);

  async function* run(
    requests: AsyncIterable<RunRequest>,
    { signal }: TesseraCallContext,
  ): AsyncGenerator<RunResponse> {
    const answers = new EventQueue<RunResponse>({ signal });
    const tellHoldings = () => answers.put({ message: { $case: 'holdings', value: shard.holdings } });
    let quiet: NodeJS.Timeout | undefined;
    let isBusy = false;
    const rest = (): void => {
      clearTimeout(quiet);
      if (!drain.aborted || isBusy) return;
      quiet = setTimeout(() => answers.fail(new TesseraError('DRAINING', 'the layer shard shuts down')), quietMs);
    };
    const onDrain = (): void => {
      tellHoldings();
      rest();
    };
    const reading = (async () => {
      let cache: ShardCache | undefined;
      try {
        let open: OpenCall | undefined;
        for await (const { message } of requests) {
          if (cache === undefined) {
            if (message?.$case !== 'start')
              throw TesseraError.invalidField('start', 'is missing; a stream begins with it');
            cache = shard.open(message.value);
            tellHoldings();
            drain.addEventListener('abort', onDrain, { once: true });
            rest();
            continue;
          }
          isBusy = true;
          clearTimeout(quiet);
          switch (message?.$case) {
            case 'plan':
              answers.put({
                message: {
                  $case: 'planned',
                  value: { step: message.value.step, noMemory: (await cache.plan(message.value)) ?? '' },
                },
              });
              break;
            case 'call':
              open = await take(message.value, open, cache, answers);
              break;
            case 'forget':
              cache.forget();
              break;
            default:
              throw TesseraError.invalidField('message', 'is no plan, no call and no forget');
          }
          isBusy = false;
          rest();
        }
        answers.end();
      } catch (reason) {
        answers.fail(reason);
      } finally {
        drain.removeEventListener('abort', onDrain);
        clearTimeout(quiet);
        await cache?.close();
      }
    })();
    yield* answers;
    await reading;
  }

  /** Takes the next part of a call in, and computes with the last one. Returns the call while parts are missing. */
  async function take(
    message: LayerCall,
    before: OpenCall | undefined,
    cache: ShardCache,
    answers: EventQueue<RunResponse>,
  ): Promise<OpenCall | undefined> {
    const open = before ?? begin(message, cache);
    if (open.call !== message.call) {
      throw TesseraError.invalidField('call.call', `is ${message.call}, while parts of call ${open.call} are missing`);
    }
    const hidden = open.parts.add(message.hidden);
    if (hidden === undefined) return open;
    const { call, rows, as } = open;
    try {
      const computed = await spans.sample(rows, () => cache.compute(rows, hidden.data));
      for (const part of encodeTensorParts({ dtype: 'float32', shape: hidden.shape, data: computed }, as)) {
        answers.put({ message: { $case: 'result', value: { call, hidden: part } } });
      }
    } catch (reason) {
      const { code, message: why } = TesseraError.from(reason);
      answers.put({ message: { $case: 'failure', value: { call, code, message: why } } });
    }
    return undefined;
  }

  function begin({ call, rows, hidden }: LayerCall, cache: ShardCache): OpenCall {
    const as = hidden?.dataType === DataType.FLOAT16 ? 'float16' : 'float32';
    return { call, rows, parts: new TensorCollector(cache.elementsOf(rows), 'call.hidden'), as };
  }

  const describe = async (): Promise<LayerServiceDescribeResponse> => ({ ...description, holdings: shard.holdings });
  return grpcService(LayerServiceDefinition, { describe, run }, { callers: 'services', staysOpen: true });
}
