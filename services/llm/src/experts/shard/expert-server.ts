import {
  type ComputeRequest,
  type ComputeResponse,
  type ComputeStart,
  type ExpertBatch,
  ExpertServiceDefinition,
  type ExpertServiceDescribeResponse,
  TesseraError,
} from '@tessera/protocol';
import { exchange, type GrpcService, grpcService } from '@tessera/service';
import { BatchSpans } from '../expert-spans.js';
import type { ExpertShard } from './expert-shard.js';
import type { PlacementUser, PlacementUsers } from './placement-users.js';

export interface ExpertServerOptions {
  readonly shard: ExpertShard;
  readonly users: PlacementUsers;
  readonly description: Pick<ExpertServiceDescribeResponse, 'model' | 'hiddenSize'>;
}

/** The shard's gRPC door. A stream ends when its engine ends it: at a drain the engine is told so, and lets go. */
export function expertService({ shard, users, description }: ExpertServerOptions): GrpcService {
  const spans = new BatchSpans(shard.group);

  const compute = exchange<ComputeRequest, ComputeResponse>((stream) => {
    let user: PlacementUser | undefined;
    let forget = () => {};
    const tellHoldings = () => stream.send({ message: { $case: 'holdings', value: shard.holdings } });
    return {
      onMessage({ message }) {
        if (user === undefined) {
          const start = checkStart(message, description.model?.revision ?? '');
          user = users.begin(start.placementEpoch);
          forget = shard.onChange(tellHoldings);
          tellHoldings();
        } else if (message?.$case === 'batch') {
          return answer(message.value).then((response) => stream.send(response));
        } else if (message?.$case === 'placementEpoch') {
          user.uses(message.value);
        } else {
          throw TesseraError.invalidField('message', 'is neither a batch nor a placement epoch');
        }
        return undefined;
      },
      onHalfClose: () => stream.end(),
      onClose() {
        forget();
        user?.[Symbol.dispose]();
      },
    };
  });

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
