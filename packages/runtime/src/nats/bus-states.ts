import { type JobKind, jobKinds, streamPlan } from '@tessera/protocol';
import type { BusConnection } from './bus-connection.js';

export interface QueueState {
  readonly kind: JobKind;
  /** Jobs that wait. */
  readonly waiting: number;
  /** Jobs that workers hold. */
  readonly running: number;
  /** Since the oldest job was queued that is not done, be it waiting or in work; 0 where there is none. */
  readonly oldestAgeMs: number;
}

export interface StreamState {
  readonly name: string;
  readonly bytes: number;
  readonly maxBytes: number;
  readonly messages: number;
}

/** What can be learnt; what cannot is left out. */
async function learnt<T>(questions: readonly Promise<T>[]): Promise<T[]> {
  const answers = await Promise.allSettled(questions);
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
}

export async function queueStates({ manager, subjects, isOnline }: BusConnection): Promise<QueueState[]> {
  if (!isOnline) return [];
  return learnt(
    jobKinds.map(async (kind) => {
      const queue = subjects.queue(kind);
      const [consumer, { state }] = await Promise.all([
        manager.consumers.info(queue, subjects.workers),
        manager.streams.info(queue),
      ]);
      // A job leaves its queue when it is done, so the first that is there is the oldest.
      const oldestAgeMs = state.messages === 0 ? 0 : Math.max(0, Date.now() - Date.parse(state.first_ts));
      return { kind, waiting: consumer.num_pending, running: consumer.num_ack_pending, oldestAgeMs };
    }),
  );
}

export async function streamStates({ manager, subjects, limits, isOnline }: BusConnection): Promise<StreamState[]> {
  if (!isOnline) return [];
  return learnt(
    streamPlan(subjects, limits).streams.map(async ({ name }) => {
      const { state, config } = await manager.streams.info(name);
      return { name, bytes: state.bytes, maxBytes: config.max_bytes, messages: state.messages };
    }),
  );
}
