import type { Bus, JobContext } from '@tessera/bus';
import {
  type DrawingEvent,
  decodeTensor,
  drawingEvents,
  type GenerateJob,
  generateQueue,
  TesseraError,
} from '@tessera/protocol';
import { jobTiming } from '@tessera/stage';
import { drawEvents } from './draw-events.js';
import { pictureParts } from './picture-parts.js';
import type { Sampler } from './sampler.js';

/** The most progress events of one drawing on the stream. */
const maxProgressEvents = 20;

/**
 * Whether a step is worth an event: the first, the last, and evenly between. It depends on nothing but the numbers, so a
 * drawing that is delivered again gives every event the sequence number that it had before.
 */
export function isReported(step: number, steps: number): boolean {
  const share = (of: number): number => Math.floor((of * maxProgressEvents) / steps);
  return step === 1 || step === steps || share(step) > share(step - 1);
}

/** Does generate jobs: progress and then the PNG in parts, sent to the gateway that waits for them. */
export function generateJobHandler(bus: Bus, sampler: Sampler, partBytes: number) {
  return async (job: GenerateJob, context: JobContext): Promise<void> => {
    const { key, condition, options } = job;
    if (key === undefined || options?.seed === undefined) {
      throw new TesseraError('REQUEST_INVALID', 'a generate job needs key and options.seed');
    }
    const { signal, deadlineMs, deliverTo } = context;
    const drawing = key.item;
    let sequence = 0;
    const publish = (event: DrawingEvent['event'], timing?: DrawingEvent['timing']): Promise<void> =>
      context.waits(
        bus.send(drawingEvents, { key, event, sequence: sequence++, timing }, { deadlineMs, signal, deliverTo }),
      );

    const request = {
      condition: decodeTensor(condition),
      noise: { seed: options.seed, index: drawing },
      steps: options.steps,
      guidance: options.guidance,
    };
    const events = drawEvents(sampler, request, { signal, deadlineMs });
    // Until its first step the drawing stands in the sampler's line, which is no fault of its own.
    for (let next = await context.waits(events.next()); next.done !== true; next = await events.next()) {
      const event = next.value;
      if (event.kind === 'progress') {
        const { step, steps } = event;
        if (isReported(step, steps)) await publish({ $case: 'progress', value: { step, steps } });
        context.progress();
        continue;
      }
      const { image, queueMs, busyMs } = event.picture;
      const encodeFrom = performance.now();
      const parts = await pictureParts(image, partBytes);
      const timing = jobTiming(generateQueue, context, { queueMs, busyMs: busyMs + performance.now() - encodeFrom });
      for (const part of parts) {
        await publish({ $case: 'picturePart', value: part }, part.last ? timing : undefined);
      }
    }
  };
}
