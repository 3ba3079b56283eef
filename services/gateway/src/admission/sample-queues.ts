import type { Bus } from '@tessera/bus';
import { sleep } from '@tessera/flow';
import type { RequestAdmission } from './request-admission.js';

/** A queue is looked at as often as this; in between what this gateway sends is counted. */
const pauseMs = 1000;

/** Tells what the queues hold to who decides what is admitted, until the signal aborts. */
export async function sampleQueues(bus: Bus, admission: RequestAdmission, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const depths = await bus.queueDepths().catch(() => []);
    for (const { kind, ...sample } of depths) admission.sampled(kind, sample);
    await sleep(pauseMs, signal).catch(() => undefined);
  }
}
