import { defaultStreamLimits, type JobKind, type StreamKind, type StreamLimits } from '@tessera/protocol';
import type { Metrics } from '@tessera/service';
import type { BusCredentials } from './connection/bus-credentials.js';
import type { BusLogger } from './connection/bus-logger.js';
import type { BusTrace } from './connection/bus-trace.js';
import type { JobOutcome } from './jobs/job-outcome.js';

/** Told of what happens on the bus, for metrics. Every callback is optional and must not throw. */
export interface BusObserver {
  published?(kind: StreamKind, bytes: number): void;
  /** The stream is full, and a message waits for room. */
  queueFull?(kind: StreamKind): void;
  /** A message that waited for room has found it. */
  fullWaited?(kind: StreamKind, waitedMs: number): void;
  /** A message for this process came in. */
  received?(kind: StreamKind, bytes: number): void;
  /** A job was taken from a handler that gave no sign of progress. */
  jobStalled?(kind: JobKind): void;
  jobEnded?(kind: JobKind, outcome: JobOutcome, times: { queueMs: number; busyMs: number }): void;
  /** A message has fields that this release does not know; what is known of it is used. */
  unknownFields?(kind: StreamKind | 'engines' | 'experts' | 'layers' | 'failures'): void;
  /** A message was thrown away: a duplicate, a corrupt one, one of an older attempt. */
  dropped?(kind: StreamKind, reason: 'duplicate' | 'corrupt' | 'stale' | 'overflow'): void;
  connection?(state: 'connected' | 'disconnected'): void;
}

export interface BusLimits extends StreamLimits {
  /** The most bytes of one media item. */
  readonly maxMediaBytes: number;
  /** The most bytes of one tensor, as float16. */
  readonly maxTensorBytes: number;
  /** The most bytes of unfinished tensors (as float32), or of events out of order, that one process holds. */
  readonly maxPendingBytes: number;
  /** How long `publish` waits while a queue is full. */
  readonly queueWaitMs: number;
  /** A job whose handler gives no sign of progress for so long, and does not say that it waits, is taken from it. */
  readonly stallMs: number;
  /** How often a job is started before it counts as undoable. */
  readonly maxDeliveries: number;
  /** The wait before a job that failed is delivered again; doubled each time up to 16 times as long. */
  readonly retryDelayMs: number;
  /** How far two machines' clocks may differ: a stage drops early only what is later than that. */
  readonly clockMarginMs: number;
  /** How often an engine announces itself. */
  readonly announceMs: number;
  /** An engine that is silent for longer is forgotten. */
  readonly silenceMs: number;
}

export const defaultBusLimits: BusLimits = {
  ...defaultStreamLimits,
  maxMediaBytes: 64 * 1024 * 1024,
  maxTensorBytes: 32 * 1024 * 1024,
  maxPendingBytes: 256 * 1024 * 1024,
  queueWaitMs: 10_000,
  stallMs: 120_000,
  maxDeliveries: 4,
  retryDelayMs: 250,
  clockMarginMs: 2000,
  announceMs: 500,
  silenceMs: 2000,
};

export interface BusOptions {
  /** `nats://host:port`, or several, separated by commas. */
  readonly url: string;
  /** None where the server lets anyone in. */
  readonly credentials?: BusCredentials;
  /** One token that every name on the server begins with. */
  readonly prefix: string;
  /** The model revision: keeps two versions apart during a rollout. */
  readonly revision: string;
  /** Shown in the server's list of connections. */
  readonly name: string;
  readonly log?: BusLogger;
  /** The service's metrics; the bus counts reconnects and dropped messages there. */
  readonly metrics?: Metrics;
  readonly observer?: BusObserver;
  /** By default the trace context that the service itself carries. */
  readonly trace?: BusTrace;
  readonly limits?: Partial<BusLimits>;
}
