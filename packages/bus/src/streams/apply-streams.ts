import { type BusRole, queues, type StreamSpec, Subjects, streamPlan, totalStreamBytes } from '@tessera/protocol';
import type { CommonSettings, Settings } from '@tessera/service';
import { defaultBusLimits } from '../bus-options.js';
import { BusConnection } from '../connection/bus-connection.js';
import { untilNatsAnswers } from '../connection/until-nats-answers.js';
import { busLimits, credentialsFrom, type NatsSettings } from '../nats-settings.js';
import { sayRevisionOnce } from './janitor.js';
import { applyStreamPlan, type SetupStep } from './setup.js';

/** What decides about the streams. */
export type StreamSettings = Settings<NatsSettings & Pick<CommonSettings, 'grpc.maxDeadlineMs'>>;

/** Everything that a model's revision needs on NATS, and what it takes there. */
export interface PlannedStreams {
  readonly streams: readonly StreamSpec[];
  /** Where the jobs of each stage wait: what an autoscaler reads the lag of. */
  readonly queues: readonly { readonly stage: BusRole; readonly stream: string; readonly consumer: string }[];
  /** Memory that NATS must allow (max_mem) for the streams of the prefix, with the queues of so many revisions. */
  bytesFor(revisions: number): number;
}

export interface ApplyOptions {
  readonly signal: AbortSignal;
  onStep(step: SetupStep): void;
  /** Called once, while NATS does not answer. */
  onWaiting(reason: string): void;
}

/** @throws TesseraError CONFIG_INVALID where prefix or revision cannot stand in names */
export function planStreams(settings: StreamSettings, revision: string): PlannedStreams {
  const limits = { ...defaultBusLimits, ...busLimits(settings, settings['grpc.maxDeadlineMs']) };
  const subjects = new Subjects(settings['nats.prefix'], revision);
  return {
    streams: streamPlan(subjects, limits).streams,
    queues: queues.map((queue) => ({
      stage: queue.worker,
      stream: subjects.queue(queue),
      consumer: subjects.workers,
    })),
    bytesFor: (revisions) => totalStreamBytes(limits, revisions),
  };
}

/**
 * Makes the streams and the durable consumers of a revision before any service is there, just as a service that starts
 * does, and says that the revision is about to be served. Idempotent. Waits for NATS up to `nats.waitMs`.
 * @throws TesseraError CONFIG_INVALID where NATS is too small, its user may not do it, or something there cannot become
 *   what is wanted; STAGE_UNAVAILABLE; the signal's reason
 */
export async function applyStreams(settings: StreamSettings, revision: string, options: ApplyOptions): Promise<void> {
  const limits = busLimits(settings, settings['grpc.maxDeadlineMs']);
  await untilNatsAnswers(
    async () => {
      const connection = await BusConnection.open({
        url: settings['nats.url'],
        credentials: credentialsFrom(settings),
        prefix: settings['nats.prefix'],
        revision,
        name: 'streams',
        limits,
      });
      try {
        const plan = streamPlan(connection.subjects, connection.limits);
        await applyStreamPlan(connection, plan, 'apply', (step) => options.onStep(step));
        // Else a gateway of another revision would take the queues for those of one that is gone.
        await sayRevisionOnce(connection);
      } finally {
        await connection.close();
      }
    },
    { waitMs: settings['nats.waitMs'], signal: options.signal, onWaiting: (reason) => options.onWaiting(reason) },
  );
}
