import { randomBytes } from 'node:crypto';
import {
  type DrawOptions,
  type DrawRequest,
  type DrawResponse,
  type Float32Tensor,
  GeneratorServiceDefinition,
  type GeneratorServiceDescribeResponse,
  maxPartBytes,
  TensorCollector,
  TesseraError,
} from '@tessera/protocol';
import { callerStream, type GrpcService, grpcService } from '@tessera/service';
import type { Admission } from '@tessera/stage';
import { drawEvents } from './draw-events.js';
import { pictureParts } from './picture-parts.js';
import type { Sampler } from './sampler.js';

export interface GeneratorServerOptions {
  readonly description: GeneratorServiceDescribeResponse;
  readonly sampler: Sampler;
  readonly admission: Admission;
  /** How long a caller may pause before it has sent everything. */
  readonly pauseMs: number;
  readonly drain: AbortSignal;
}

/** The generator's gRPC door: one picture a call, for callers who want this stage alone. */
export function generatorService(options: GeneratorServerOptions): GrpcService {
  const { description, sampler, admission, pauseMs, drain } = options;
  const conditionElements = description.conditionLength * description.conditionWidth;

  async function* draw(
    requests: AsyncIterable<DrawRequest>,
    { signal, deadlineMs }: { signal: AbortSignal; deadlineMs: number },
  ): AsyncGenerator<DrawResponse> {
    using _call = admission.enter();
    const sent = callerStream(requests, { pauseMs, signal, drain });
    const { start, condition } = await collectDrawing(sent, conditionElements);
    const drawing = {
      condition,
      noise: { seed: start.seed ?? randomBytes(8).readBigUInt64LE(), index: 0 },
      steps: start.steps,
      guidance: start.guidance,
    };
    try {
      for await (const event of drawEvents(sampler, drawing, { signal, deadlineMs })) {
        if (event.kind === 'progress') {
          const { step, steps } = event;
          yield { event: { $case: 'progress', value: { step, steps } } };
        } else {
          for (const part of await pictureParts(event.picture.image, maxPartBytes)) {
            yield { event: { $case: 'picturePart', value: part } };
          }
        }
      }
    } catch (reason) {
      throw fromRoot(reason);
    }
  }

  return grpcService(GeneratorServiceDefinition, { describe: async () => description, draw });
}

/** The sampler names the options by themselves; the condition is a field of the message. */
function fromRoot(reason: unknown): TesseraError {
  const error = TesseraError.from(reason);
  return error.field === 'condition' ? error : error.under('start.options');
}

/**
 * What a call says of its drawing. Reads no further than the condition's last part.
 * @param maxElements of the condition
 * @throws TesseraError REQUEST_INVALID, TENSOR_INVALID, MESSAGE_TOO_LARGE
 */
async function collectDrawing(
  requests: AsyncIterable<DrawRequest>,
  maxElements: number,
): Promise<{ readonly start: DrawOptions; readonly condition: Float32Tensor }> {
  const collector = new TensorCollector(maxElements, 'condition');
  let start: DrawOptions | undefined;
  for await (const { body } of requests) {
    if (start === undefined) {
      if (body?.$case !== 'start') throw TesseraError.invalidField('start', 'must be the first message of the stream');
      start = body.value.options ?? {};
      continue;
    }
    if (body?.$case !== 'condition') {
      throw TesseraError.invalidField('condition', 'is what must follow `start`, and nothing else');
    }
    const condition = collector.add(body.value);
    if (condition !== undefined) return { start, condition };
  }
  throw new TesseraError('TENSOR_INVALID', 'the stream was closed before the last part of the condition', {
    field: 'condition.last',
  });
}
