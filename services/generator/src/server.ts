import { randomBytes } from 'node:crypto';
import {
  type DrawRequest,
  type DrawResponse,
  decodeTensor,
  GeneratorServiceDefinition,
  type GeneratorServiceDescribeResponse,
} from '@tessera/protocol';
import { type GrpcService, grpcService } from '@tessera/service';
import type { Admission } from '@tessera/stage';
import { drawEvents } from './draw-events.js';
import { pictureParts } from './picture-parts.js';
import type { Sampler } from './sampler.js';

export interface GeneratorServerOptions {
  readonly description: GeneratorServiceDescribeResponse;
  readonly sampler: Sampler;
  readonly admission: Admission;
  readonly partBytes: number;
}

/** The generator's gRPC door: one picture a call, for callers who want this stage alone. */
export function generatorService(options: GeneratorServerOptions): GrpcService {
  const { description, sampler, admission, partBytes } = options;

  async function* draw(
    { condition, options }: DrawRequest,
    { signal, deadlineMs }: { signal: AbortSignal; deadlineMs: number },
  ): AsyncGenerator<DrawResponse> {
    using _call = admission.enter();
    const drawing = {
      condition: decodeTensor(condition, 'condition'),
      noise: { seed: options?.seed ?? randomBytes(8).readBigUInt64LE(), index: 0 },
      steps: options?.steps,
      guidance: options?.guidance,
    };
    for await (const event of drawEvents(sampler, drawing, { signal, deadlineMs })) {
      if (event.kind === 'progress') {
        const { step, steps } = event;
        yield { event: { $case: 'progress', value: { drawing: 0, step, steps } } };
      } else {
        for (const part of await pictureParts(event.picture.image, 0, partBytes)) {
          yield { event: { $case: 'picturePart', value: part } };
        }
      }
    }
  }

  return grpcService(GeneratorServiceDefinition, { describe: async () => description, draw });
}
