import type { Bus } from '@tessera/bus';
import { sleep } from '@tessera/flow';
import type { QueueAttendance } from './queue-attendance.js';
import type { RequestAdmission } from './request-admission.js';

/** A queue is looked at as often as this; in between what this gateway sends is counted. */
const pauseMs = 1000;

export interface QueueWatchers {
  readonly admission: RequestAdmission;
  readonly attendance: QueueAttendance;
}

/** Tells what the queues hold, and which nobody takes jobs from, to who decides by it, until the signal aborts. */
export async function sampleQueues(
  bus: Bus,
  { admission, attendance }: QueueWatchers,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const [depths, unattended] = await Promise.all([
      bus.queueDepths().catch(() => []),
      bus.unattendedQueues().catch(() => undefined),
    ]);
    if (unattended !== undefined) attendance.sampled(unattended);
    for (const { kind, ...sample } of depths) {
      if (attendance.isUnattended(kind)) admission.deserted(kind, sample);
      else admission.sampled(kind, sample);
    }
    await sleep(pauseMs, signal).catch(() => undefined);
  }
}
