import type { PlannedTile, TileMarker } from '@tessera/media';
import {
  type EncodeRequest,
  type EncodeResponse,
  EncoderServiceDefinition,
  type EncoderServiceDescribeResponse,
  encodeTensorParts,
  type Segment,
  SegmentRole,
} from '@tessera/protocol';
import { callerStream, type GrpcService, grpcService } from '@tessera/service';
import type { Admission } from '@tessera/stage';
import { collectMedia } from './collect-media.js';
import type { ItemEncoder } from './item-encoder.js';

export interface EncoderServerOptions {
  readonly description: EncoderServiceDescribeResponse;
  readonly encoder: ItemEncoder;
  readonly admission: Admission;
  readonly maxMediaBytes: number;
  /** How long a caller may pause before it has sent everything. */
  readonly pauseMs: number;
  readonly drain: AbortSignal;
}

/** The encoder's gRPC door: one item a call, for callers who want this stage alone. */
export function encoderService(options: EncoderServerOptions): GrpcService {
  const { description, encoder, admission, maxMediaBytes, pauseMs, drain } = options;

  async function* encode(
    requests: AsyncIterable<EncodeRequest>,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<EncodeResponse> {
    using _call = admission.enter();
    const bytes = await collectMedia(callerStream(requests, { pauseMs, signal, drain }), maxMediaBytes);
    for await (const { tile, tiles, features } of encoder.encode({ bytes, signal })) {
      // Said with the first part only.
      let about: Pick<EncodeResponse, 'segment' | 'segments'> = { segment: segmentOf(tile), segments: tiles };
      for (const part of encodeTensorParts(features, 'float16')) {
        yield { ...about, features: part };
        about = { segment: undefined, segments: 0 };
      }
    }
  }

  return grpcService(EncoderServiceDefinition, { describe: async () => description, encode });
}

/** How a tile stands in its item. */
const roleOf: Readonly<Record<TileMarker, SegmentRole>> = {
  none: SegmentRole.WHOLE,
  thumbnail: SegmentRole.THUMBNAIL,
  tile: SegmentRole.PART,
};

function segmentOf({ index, marker, columns, rows, column, row }: PlannedTile): Segment {
  return { index, role: roleOf[marker], place: { columns, rows, column, row }, time: undefined };
}
