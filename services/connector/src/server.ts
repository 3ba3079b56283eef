import { mapOrdered, untilAborted } from '@tessera/flow';
import {
  ConnectorServiceDefinition,
  type ConnectorServiceDescribeResponse,
  type ConnectRequest,
  type ConnectResponse,
  decodeTensor,
  encodeTensor,
  TesseraError,
} from '@tessera/protocol';
import { type GrpcService, grpcService } from '@tessera/service';
import type { Admission } from '@tessera/stage';
import type { ConnectorEngine } from './engine.js';

export interface ConnectorServerOptions {
  readonly description: ConnectorServiceDescribeResponse;
  readonly engine: ConnectorEngine;
  readonly admission: Admission;
  /** Tiles of one call that are in work at one time. */
  readonly tilesAtOnce: number;
  /** Once aborted, what was received is answered, and the call ends with DRAINING. */
  readonly drain: AbortSignal;
}

/** Of a call's fields, only its tensor can be wrong. */
function inFeatures(reason: unknown): never {
  const error = TesseraError.from(reason);
  throw error.code === 'TENSOR_INVALID' ? error.inField('features') : error;
}

/** The connector's gRPC door, for callers who want this stage alone. */
export function connectorService(options: ConnectorServerOptions): GrpcService {
  const { description, engine, admission, tilesAtOnce, drain } = options;

  async function* connect(
    requests: AsyncIterable<ConnectRequest>,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<ConnectResponse> {
    using _call = admission.enter();
    // A caller may keep its stream open for ever; a drain does not wait for that.
    const received = untilAborted(requests, drain);
    yield* mapOrdered(received, tilesAtOnce, signal, async ({ features }, tileSignal) => {
      const { result } = await engine.connect(decodeTensor(features, 'features'), tileSignal).catch(inFeatures);
      return { visualTokens: encodeTensor(result, 'float16') };
    });
    if (drain.aborted) throw new TesseraError('DRAINING', 'this connector is shutting down; open a new call');
  }

  return grpcService(ConnectorServiceDefinition, { describe: async () => description, connect });
}
