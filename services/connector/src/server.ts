import { mapOrdered } from '@tessera/flow';
import type { BatchedGraph } from '@tessera/inference';
import {
  ConnectorServiceDefinition,
  type ConnectorServiceDescribeResponse,
  type ConnectRequest,
  type ConnectResponse,
  encodeTensorParts,
  type Float32Tensor,
  TensorCollector,
  TesseraError,
} from '@tessera/protocol';
import { callerStream, type GrpcService, grpcService } from '@tessera/service';
import type { Admission } from '@tessera/stage';

export interface ConnectorServerOptions {
  readonly description: ConnectorServiceDescribeResponse;
  readonly tiles: BatchedGraph;
  readonly admission: Admission;
  /** Tiles of one call that are in work at one time. */
  readonly tilesAtOnce: number;
  /** How long a caller that waits for nothing may send nothing. */
  readonly pauseMs: number;
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
  const { description, tiles, admission, tilesAtOnce, pauseMs, drain } = options;

  async function* connect(
    requests: AsyncIterable<ConnectRequest>,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<ConnectResponse> {
    using _call = admission.enter();
    let unanswered = 0;
    let answeredMs = 0;
    const idleSinceMs = () => (unanswered > 0 ? performance.now() : answeredMs);
    const sent = callerStream(requests, { pauseMs, signal, drain, idleSinceMs });
    const received = wholeTensors(sent, description.patches * description.width);
    const connected = mapOrdered(received, tilesAtOnce, signal, (features, tileSignal) => {
      unanswered++;
      return tiles.run(features, tileSignal).catch(inFeatures);
    });
    for await (const { result } of connected) {
      for (const visualTokens of encodeTensorParts(result, 'float16')) yield { visualTokens };
      unanswered--;
      answeredMs = performance.now();
    }
  }

  return grpcService(ConnectorServiceDefinition, { describe: async () => description, connect });
}

/**
 * The tensors that a stream's parts make up, one after the other.
 * @throws TesseraError TENSOR_INVALID, also when the stream ends within one; MESSAGE_TOO_LARGE
 */
async function* wholeTensors(
  requests: AsyncIterable<ConnectRequest>,
  maxElements: number,
): AsyncGenerator<Float32Tensor> {
  const collector = new TensorCollector(maxElements, 'features');
  for await (const { features } of requests) {
    const whole = collector.add(features);
    if (whole !== undefined) yield whole;
  }
  if (collector.isOpen) {
    throw new TesseraError('TENSOR_INVALID', 'the stream was closed before the last part of a tensor', {
      field: 'features.last',
    });
  }
}
