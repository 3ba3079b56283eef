import {
  type EncodeRequest,
  type EncodeResponse,
  EncoderServiceDefinition,
  type EncoderServiceDescribeResponse,
  encodeTensor,
} from '@tessera/protocol';
import { type GrpcService, grpcService } from '@tessera/service';
import type { Admission } from '@tessera/stage';
import { collectMedia } from './collect-media.js';
import type { ItemEncoder } from './item-encoder.js';
import { roleOf } from './roles.js';

export interface EncoderServerOptions {
  readonly description: EncoderServiceDescribeResponse;
  readonly encoder: ItemEncoder;
  readonly admission: Admission;
  readonly maxMediaBytes: number;
}

/** The encoder's gRPC door: one item a call, for callers who want this stage alone. */
export function encoderService(options: EncoderServerOptions): GrpcService {
  const { description, encoder, admission, maxMediaBytes } = options;

  async function* encode(
    requests: AsyncIterable<EncodeRequest>,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<EncodeResponse> {
    using _call = admission.enter();
    const bytes = await collectMedia(requests, maxMediaBytes);
    for await (const { tile, tiles, features } of encoder.encode({ bytes, signal })) {
      yield { tile: tile.index, tiles, role: roleOf[tile.marker], features: encodeTensor(features, 'float16') };
    }
  }

  return grpcService(EncoderServiceDefinition, { describe: async () => description, encode });
}
