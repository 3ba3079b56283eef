import { EventQueue } from '@tessera/flow';
import {
  type ComputeRequest,
  type ComputeResponse,
  type ComputeStart,
  type ExpertBatch,
  ExpertServiceDefinition,
  type ExpertServiceDescribeResponse,
  TesseraError,
} from '@tessera/protocol';
import { type GrpcService, grpcService, type TesseraCallContext } from '@tessera/service';
import { BatchSpans } from '../expert-spans.js';
import type { ExpertShard } from './expert-shard.js';
import type { PlacementUsers } from './placement-users.js';

export interface ExpertServerOptions {
  readonly shard: ExpertShard;
  readonly users: PlacementUsers;
  readonly description: Pick<ExpertServiceDescribeResponse, 'model' | 'hiddenSize'>;
}

/** The shard's gRPC door. A stream ends when its engine ends it: at a drain the engine is told so, and lets go. */
export function expertService({ shard, users, description }: ExpertServerOptions): GrpcService {
  const spans = new BatchSpans(shard.group);

  async function* compute(
    requests: AsyncIterable<ComputeRequest>,
    { signal }: TesseraCallContext,
  ): AsyncGenerator<ComputeResponse> {
    const answers = new EventQueue<ComputeResponse>({ signal });
    const tellHoldings = () => answers.put({ message: { $case: 'holdings', value: shard.holdings } });
    let forget = () => {};
    const reading = (async () => {
      let user: ReturnType<PlacementUsers['begin']> | undefined;
      try {
        for await (const { message } of requests) {
          if (user === undefined) {
            const start = checkStart(message, description.model?.revision ?? '');
            user = users.begin(start.placementEpoch);
            forget = shard.onChange(tellHoldings);
            tellHoldings();
          } else if (message?.$case === 'batch') {
            answers.put(await answer(message.value));
          } else if (message?.$case === 'placementEpoch') {
            user.uses(message.value);
          } else {
            throw TesseraError.invalidField('message', 'is neither a batch nor a placement epoch');
          }
        }
        answers.end();
      } catch (reason) {
        answers.fail(reason);
      } finally {
        forget();
        user?.[Symbol.dispose]();
      }
    })();
    yield* answers;
    await reading;
  }

  async function answer(batch: ExpertBatch): Promise<ComputeResponse> {
    const { call } = batch;
    try {
      return {
        message: { $case: 'answers', value: { call, rows: await spans.sample(batch, () => shard.compute(batch)) } },
      };
    } catch (reason) {
      const { code, message } = TesseraError.from(reason);
      return { message: { $case: 'failure', value: { call, code, message } } };
    }
  }

  const describe = async (): Promise<ExpertServiceDescribeResponse> => {
    return { ...description, group: shard.group, holdings: shard.holdings };
  };
  return grpcService(ExpertServiceDefinition, { describe, compute }, { callers: 'services', staysOpen: true });
}

/** @throws TesseraError REQUEST_INVALID; MODEL_NOT_FOUND for an engine of another model or revision */
function checkStart(message: ComputeRequest['message'], revision: string): ComputeStart {
  if (message?.$case !== 'start') throw TesseraError.invalidField('start', 'is missing; a stream begins with it');
  if (message.value.revision !== revision) {
    throw new TesseraError(
      'MODEL_NOT_FOUND',
      `this shard holds experts of revision ${revision}; the engine has ${message.value.revision}`,
      { field: 'start.revision' },
    );
  }
  return message.value;
}
