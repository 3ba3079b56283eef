import { failSpan, startSpan } from '@tessera/service';
import type { DrawCall, Drawing, Picture, Sampler } from './sampler.js';

/** What a drawing says of itself: a progress after each step, and then, last, the picture. */
export type DrawEvent =
  | { readonly kind: 'progress'; readonly step: number; readonly steps: number }
  | { readonly kind: 'picture'; readonly picture: Picture };

/**
 * Draws, and yields what happens. The drawing does not wait for a slow consumer: at most one event a step is kept for it.
 * It stops when the consumer does.
 * @throws TesseraError what `Sampler.draw` throws
 */
export async function* drawEvents(
  sampler: Sampler,
  drawing: Drawing,
  { signal, deadlineMs }: Omit<DrawCall, 'onStep'>,
): AsyncGenerator<DrawEvent> {
  const span = startSpan('draw', { attributes: { 'tessera.draw.steps': drawing.steps ?? sampler.model.defaultSteps } });
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort);
  const steps: DrawEvent[] = [];
  let wake: () => void = () => {};
  let finished = false;
  const picture = sampler
    .draw(drawing, {
      signal: stop.signal,
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
      onStep: (step, of) => {
        steps.push({ kind: 'progress', step, steps: of });
        wake();
      },
    })
    .finally(() => {
      finished = true;
      wake();
    });
  // Awaited below; until then a failure is no unhandled one.
  picture.catch(() => {});
  try {
    for (;;) {
      const next = steps.shift();
      if (next !== undefined) yield next;
      else if (finished) break;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    const drawn = await picture;
    span.setAttributes({ 'tessera.draw.queue_ms': drawn.queueMs, 'tessera.draw.busy_ms': drawn.busyMs });
    yield { kind: 'picture', picture: drawn };
  } catch (reason) {
    failSpan(span, reason);
    throw reason;
  } finally {
    span.end();
    signal.removeEventListener('abort', onAbort);
    stop.abort();
  }
}
