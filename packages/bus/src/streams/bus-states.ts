import { type DeclaredQueue, type JobKind, queues, streamPlan } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';

export interface QueueDepth {
  readonly kind: JobKind;
  /** Jobs that wait. */
  readonly waiting: number;
  /** Jobs that workers hold. */
  readonly running: number;
  /** Deliveries that workers have settled since the queue was made. */
  readonly settled: number;
}

export interface QueueState extends QueueDepth {
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

async function queueDepth({ manager, subjects }: BusConnection, queue: DeclaredQueue): Promise<QueueDepth> {
  const info = await manager.consumers.info(subjects.queue(queue), subjects.workers);
  const { num_pending: waiting, num_ack_pending: running, delivered } = info;
  return { kind: queue.name, waiting, running, settled: delivered.consumer_seq - running };
}

export async function queueDepths(connection: BusConnection): Promise<QueueDepth[]> {
  if (!connection.isOnline) return [];
  return learnt(queues.map((queue) => queueDepth(connection, queue)));
}

export async function queueStates(connection: BusConnection): Promise<QueueState[]> {
  const { manager, subjects, isOnline } = connection;
  if (!isOnline) return [];
  return learnt(
    queues.map(async (queue) => {
      const [depth, { state }] = await Promise.all([
        queueDepth(connection, queue),
        manager.streams.info(subjects.queue(queue)),
      ]);
      // A job leaves its queue when it is done, so the first that is there is the oldest.
      const oldestAgeMs = state.messages === 0 ? 0 : Math.max(0, Date.now() - Date.parse(state.first_ts));
      return { ...depth, oldestAgeMs };
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
