import { type DeclaredQueue, queues, type StreamKind, spreadStreams } from './declarations.js';
import type { SpreadDeclaration, StreamDeclaration } from './stream-declaration.js';
import type { Subjects } from './subjects.js';

const kib = 1024;
const mib = 1024 * kib;

/**
 * What the streams of one deployment may hold. Who sets a stream up decides; processes that are given something else work
 * all the same, since sizes are read from the messages.
 */
export interface StreamLimits {
  /** The most bytes of media, features or tensor part in one message; more is cut into parts of this size. */
  readonly partBytes: number;
  /** The most jobs that wait in each queue. */
  readonly maxJobs: number;
  /** The most bytes of each queue of one revision, and of all streams of a kind of product, or of parts, together. */
  readonly maxBytes: Readonly<Record<StreamKind, number>>;
  /** Over how many streams each kind of product, and the parts, are spread. */
  readonly shards: number;
  /** How many servers of a JetStream cluster hold each stream. */
  readonly replicas: number;
  /** The most bytes of the tombstones; beyond them the oldest go. */
  readonly maxTombstoneBytes: number;
  /** The longest deadline that a request may have: nothing is kept for longer. */
  readonly maxDeadlineMs: number;
  /** How long an upload may be named by requests. */
  readonly uploadMs: number;
  /** How long a delivered job, or product, may go without a sign of its receiver before it is delivered again. */
  readonly ackWaitMs: number;
  /** The most jobs that a stage's whole fleet may hold at once: the server counts over all replicas. */
  readonly maxAckPending: number;
  /** The most pull requests that wait on one queue: a few for each replica. */
  readonly maxWaitingPulls: number;
  /** How long a message id is remembered. */
  readonly dedupWindowMs: number;
  /** A revision that gave no sign of life for so long is no longer served: its queues are removed. */
  readonly revisionIdleMs: number;
}

/** The most bytes of each kind of stream, as a rule says. */
export function maxBytesOf(rule: (declaration: StreamDeclaration<StreamKind>) => number): Record<StreamKind, number> {
  const entries = [...queues, ...spreadStreams].map((declaration) => [declaration.name, rule(declaration)]);
  return Object.fromEntries(entries) as Record<StreamKind, number>;
}

export const defaultStreamLimits: StreamLimits = {
  partBytes: 512 * kib,
  maxJobs: 4096,
  maxBytes: maxBytesOf((declaration) => declaration.maxBytes),
  shards: 1,
  replicas: 1,
  maxTombstoneBytes: 16 * mib,
  maxDeadlineMs: 600_000,
  uploadMs: 3_600_000,
  ackWaitMs: 5000,
  maxAckPending: 65_536,
  maxWaitingPulls: 16_384,
  dedupWindowMs: 120_000,
  revisionIdleMs: 3_600_000,
};

/** Room that a message takes beyond its part: protobuf envelope, subject, headers. */
const envelopeBytes = 16 * kib;

/** The largest payload of a message: a part and what is said about it. */
export function maxMessageBytes({ partBytes }: Pick<StreamLimits, 'partBytes'>): number {
  return partBytes + envelopeBytes;
}

/** What the server must take as one message: the payload with its headers. */
export function maxStoredBytes(limits: Pick<StreamLimits, 'partBytes'>): number {
  return maxMessageBytes(limits) + envelopeBytes;
}

/** Signs of life are small and few. */
const revisionBytes = mib;

/** The memory that a server must allow for all streams of a deployment that serves so many revisions at a time. */
export function totalStreamBytes(limits: StreamLimits, revisions = 1): number {
  const bytesOf = (declarations: readonly StreamDeclaration<StreamKind>[]): number =>
    declarations.reduce((sum, { name }) => sum + limits.maxBytes[name], 0);
  return revisions * bytesOf(queues) + bytesOf(spreadStreams) + limits.maxTombstoneBytes + revisionBytes;
}

/** One stream as it is to be, in memory: what is lost is made again by an attempt. */
export interface StreamSpec {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly retention: SpreadDeclaration['retention'];
  /**
   * A full queue refuses (`new`), so what was admitted never vanishes. A full stream of products or parts refuses too:
   * its maker waits, which is better than a tile that disappears while its engine waits for it. Tombstones and signs of
   * life give way to younger ones (`old`).
   */
  readonly discard: 'new' | 'old';
  readonly replicas: number;
  readonly maxBytes: number;
  /** -1: as many as the bytes allow. */
  readonly maxMessages: number;
  readonly maxMessagesPerSubject: number;
  readonly maxMessageBytes: number;
  readonly maxAgeMs: number;
  readonly dedupWindowMs: number;
}

/** The durable consumer that one stage's replicas of one revision share. */
export interface ConsumerSpec {
  readonly stream: string;
  readonly durable: string;
  readonly filterSubject: string;
  readonly ackWaitMs: number;
  readonly maxAckPending: number;
  readonly maxWaitingPulls: number;
}

/** Everything that must exist on the server before the first request of a revision. */
export interface StreamPlan {
  readonly streams: readonly StreamSpec[];
  readonly consumers: readonly ConsumerSpec[];
}

export function streamPlan(subjects: Subjects, limits: StreamLimits): StreamPlan {
  /** A server remembers ids no longer than messages. */
  const keptFor = (maxAgeMs: number) => ({ maxAgeMs, dedupWindowMs: Math.min(limits.dedupWindowMs, maxAgeMs) });
  const common = {
    discard: 'new',
    replicas: limits.replicas,
    maxMessages: -1,
    maxMessagesPerSubject: -1,
    maxMessageBytes: maxStoredBytes(limits),
    ...keptFor(limits.maxDeadlineMs),
  } as const;
  const queueStream = (queue: DeclaredQueue): StreamSpec => ({
    ...common,
    name: subjects.queue(queue),
    subjects: [subjects.queueSubjects(queue)],
    retention: 'workqueue',
    maxBytes: limits.maxBytes[queue.name],
    maxMessages: limits.maxJobs,
  });
  const overShards = spreadStreams.flatMap((kind) =>
    Array.from(
      { length: limits.shards },
      (_, shard): StreamSpec => ({
        ...common,
        name: subjects.shard(kind, shard),
        subjects: [subjects.shardSubjects(kind, shard)],
        retention: kind.retention,
        // An upload that comes again takes the place of what was.
        maxMessagesPerSubject: kind.keptFor === 'upload' ? 1 : -1,
        ...keptFor(kind.keptFor === 'upload' ? limits.uploadMs : limits.maxDeadlineMs),
        maxBytes: Math.floor(limits.maxBytes[kind.name] / limits.shards),
      }),
    ),
  );
  const small = {
    ...common,
    retention: 'limits',
    discard: 'old',
    maxMessagesPerSubject: 1,
    maxMessageBytes: kib,
  } as const;
  return {
    streams: [
      ...queues.map(queueStream),
      ...overShards,
      {
        ...small,
        name: subjects.tombstones(),
        subjects: [subjects.tombstone()],
        maxBytes: limits.maxTombstoneBytes,
      },
      {
        ...small,
        name: subjects.revisions(),
        subjects: [subjects.revisionAlive()],
        maxBytes: revisionBytes,
        ...keptFor(limits.revisionIdleMs),
      },
    ],
    consumers: queues.map((queue) => ({
      stream: subjects.queue(queue),
      durable: subjects.workers,
      filterSubject: subjects.queueSubjects(queue),
      ackWaitMs: limits.ackWaitMs,
      maxAckPending: limits.maxAckPending,
      maxWaitingPulls: limits.maxWaitingPulls,
    })),
  };
}
