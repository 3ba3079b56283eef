import { type JobKind, jobKinds, type ProductKind, productKinds, type StreamKind, type Subjects } from './subjects.js';

const kib = 1024;
const mib = 1024 * kib;

/** What the streams of one deployment may hold. Every process of a deployment must be given the same. */
export interface StreamLimits {
  /** The most bytes of one message's payload. Below the server's max_payload. */
  readonly maxMessageBytes: number;
  /** The most jobs that wait in each queue. */
  readonly maxJobs: number;
  /** The most messages on each stream of products. */
  readonly maxProducts: number;
  /** The most bytes of each stream; their sum, with the two buckets, must fit the server's memory limit. */
  readonly maxBytes: Readonly<Record<StreamKind, number>>;
  /** The most bytes of the object store. */
  readonly maxBlobBytes: number;
  /** The most bytes of the tombstones. */
  readonly maxTombstoneBytes: number;
  /** The longest deadline that a request may have: nothing is kept for longer. */
  readonly maxDeadlineMs: number;
  /** How long a delivered job may go without an acknowledgement or a sign of progress before another worker gets it. */
  readonly ackWaitMs: number;
  /** The most jobs that a stage's whole fleet may hold at once: the server counts over all replicas. */
  readonly maxAckPending: number;
  /** The most pull requests that wait on one queue: one for each free slot of the fleet. */
  readonly maxWaitingPulls: number;
  /** How long a message id is remembered. */
  readonly dedupWindowMs: number;
}

export const defaultStreamLimits: StreamLimits = {
  // 512 KiB of media or tensor, and its envelope.
  maxMessageBytes: 640 * kib,
  maxJobs: 4096,
  maxProducts: 65_536,
  maxBytes: {
    encode: 128 * mib,
    connect: 128 * mib,
    generate: 32 * mib,
    features: 192 * mib,
    tokens: 192 * mib,
    media: 96 * mib,
  },
  maxBlobBytes: 256 * mib,
  maxTombstoneBytes: 8 * mib,
  maxDeadlineMs: 600_000,
  ackWaitMs: 30_000,
  maxAckPending: 16_384,
  maxWaitingPulls: 4096,
  dedupWindowMs: 120_000,
};

/** The memory that a server must allow for all streams and buckets together. */
export function totalStreamBytes(limits: StreamLimits): number {
  const streams = Object.values(limits.maxBytes).reduce((sum, bytes) => sum + bytes, 0);
  return streams + limits.maxBlobBytes + limits.maxTombstoneBytes;
}

/** One stream as it is to be. Every stream is in memory with one replica: what is lost is made again by an attempt. */
export interface StreamSpec {
  readonly name: string;
  readonly kind: StreamKind;
  readonly subjects: readonly string[];
  /** A work queue drops a message when it is acknowledged; `limits` keeps it until purged or old. */
  readonly retention: 'workqueue' | 'limits';
  /**
   * A full queue refuses (`new`), so what was admitted never vanishes. A full stream of products refuses too: the
   * stage waits, which is better than a tile that disappears while its engine waits for it.
   */
  readonly discard: 'new';
  readonly maxBytes: number;
  readonly maxMessages: number;
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
  readonly blobs: { readonly bucket: string; readonly maxBytes: number; readonly ttlMs: number };
  readonly tombstones: { readonly bucket: string; readonly maxBytes: number; readonly ttlMs: number };
}

/** Room that a stored message takes beyond its payload: subject, headers. */
const envelopeBytes = 4 * kib;

export function streamPlan(subjects: Subjects, limits: StreamLimits): StreamPlan {
  const stream = (kind: StreamKind, retention: StreamSpec['retention'], maxMessages: number): StreamSpec => ({
    name: subjects.stream(kind),
    kind,
    subjects: [subjects.streamSubjects(kind)],
    retention,
    discard: 'new',
    maxBytes: limits.maxBytes[kind],
    maxMessages,
    maxMessageBytes: limits.maxMessageBytes + envelopeBytes,
    maxAgeMs: limits.maxDeadlineMs,
    dedupWindowMs: Math.min(limits.dedupWindowMs, limits.maxDeadlineMs),
  });
  const consumer = (kind: JobKind): ConsumerSpec => ({
    stream: subjects.stream(kind),
    durable: subjects.durable(),
    filterSubject: subjects.revisionFilter(kind),
    ackWaitMs: limits.ackWaitMs,
    maxAckPending: limits.maxAckPending,
    maxWaitingPulls: limits.maxWaitingPulls,
  });
  return {
    streams: [
      ...jobKinds.map((kind) => stream(kind, 'workqueue', limits.maxJobs)),
      ...productKinds.map((kind: ProductKind) => stream(kind, 'limits', limits.maxProducts)),
    ],
    consumers: jobKinds.map(consumer),
    // Twice the longest deadline: an object found in its first half outlives the request that found it.
    blobs: { bucket: subjects.blobBucket(), maxBytes: limits.maxBlobBytes, ttlMs: 2 * limits.maxDeadlineMs },
    tombstones: {
      bucket: subjects.tombstoneBucket(),
      maxBytes: limits.maxTombstoneBytes,
      ttlMs: limits.maxDeadlineMs,
    },
  };
}
