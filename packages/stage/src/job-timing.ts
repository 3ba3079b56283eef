import type { JobContext } from '@tessera/bus';
import type { DeclaredQueue, StageWork } from '@tessera/protocol';

/** What a job took in its stage until now: `queueMs` besides the wait in the queue, in milliseconds. */
export function jobTiming(
  queue: DeclaredQueue,
  context: JobContext,
  { queueMs, busyMs }: { readonly queueMs: number; readonly busyMs: number },
): StageWork {
  return { stage: queue.worker, queueMs: context.queueMs + queueMs, busyMs, endedAtMs: Date.now() };
}
