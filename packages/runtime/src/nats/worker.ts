import {
  type ErrorCode,
  headerNumber,
  type JobKey,
  type JobKind,
  jobRoutes,
  messageHeaders,
  type SubjectParts,
  TesseraError,
} from '@tessera/protocol';
import { signalWithDeadline } from '../deadline.js';
import type { BusConnection } from './bus-connection.js';
import { messageOf } from './bus-connection.js';
import type { JobOutcome } from './bus-options.js';
import type { Cancellation } from './cancellation.js';
import type { DeliveredJob } from './delivered-job.js';
import { type JobMessage, jobCodecs } from './job-codec.js';
import { JobPuller } from './job-puller.js';

export interface JobContext {
  /** Aborts when the request is cancelled or its deadline has surely passed. */
  readonly signal: AbortSignal;
  /** Unix ms on the gateway's clock. */
  readonly deadlineMs: number;
  /** How long the job waited, by the server's clock and this machine's. */
  readonly queueMs: number;
  /** Which delivery this is, from 1. */
  readonly deliveries: number;
  /** To be called after each tile or step: keeps the job from being given to another worker. */
  progress(): void;
}

export interface WorkOptions<K extends JobKind> {
  /** How many jobs this process works on at once. */
  readonly slots: number;
  /** Aborted to drain: no more jobs are taken, running ones are finished. */
  readonly signal: AbortSignal;
  handler(job: JobMessage<K>, context: JobContext): Promise<void>;
}

/** What the message says besides its payload. */
interface Delivery {
  readonly at: SubjectParts;
  readonly key: JobKey;
  readonly deadlineMs: number;
}

export type FailurePublisher = (
  kind: JobKind,
  key: JobKey,
  tile: number,
  error: TesseraError,
  deadlineMs: number,
) => Promise<void>;

/** The worker side of one queue: takes jobs into free slots and sees each to one of its ends. */
export class Worker<K extends JobKind> {
  private readonly running = new Map<AbortController, string>();

  constructor(
    private readonly connection: BusConnection,
    private readonly cancellation: Cancellation,
    private readonly publishFailure: FailurePublisher,
    private readonly restore: () => Promise<void>,
    private readonly kind: K,
    private readonly options: WorkOptions<K>,
  ) {}

  /** Works until the signal aborts and every running job has ended. */
  async run(): Promise<void> {
    const { subjects } = this.connection;
    const { signal, slots } = this.options;
    if (signal.aborted) return;
    const pullers = Array.from(
      { length: slots },
      () => new JobPuller(this.connection, subjects.stream(this.kind), subjects.durable(), this.restore),
    );
    const stop = () => {
      for (const puller of pullers) puller.stop();
    };
    signal.addEventListener('abort', stop, { once: true });
    const forget = this.cancellation.onCancel((requestId) => {
      for (const [controller, id] of this.running) {
        if (id === requestId) controller.abort(new TesseraError('CANCELLED', 'the request was cancelled'));
      }
    });
    try {
      await Promise.all(pullers.map((puller) => this.runSlot(puller)));
    } finally {
      forget();
      signal.removeEventListener('abort', stop);
    }
  }

  private async runSlot(puller: JobPuller): Promise<void> {
    for (;;) {
      const job = await puller.next();
      if (job === undefined) return;
      await this.process(job);
    }
  }

  private async process(job: DeliveredJob): Promise<void> {
    const { observer, log, trace } = this.connection;
    const startedAt = performance.now();
    const queueMs = Math.max(0, Date.now() - job.storedAtMs);
    const traceparent = job.message.headers?.get(messageHeaders.traceparent) || undefined;
    const work = () => this.see(job, queueMs);
    let outcome: JobOutcome;
    try {
      const name = `${jobRoutes[this.kind].stage} ${this.kind}`;
      outcome = await trace.continue(traceparent, name, work);
    } catch (reason) {
      // Only what was to report the end can fail here (NATS is away): the job comes back after its ack wait.
      log.warn({ kind: this.kind, subject: job.message.subject, error: messageOf(reason) }, 'a job ended unreported');
      outcome = 'retried';
    }
    observer.jobEnded?.(this.kind, outcome, { queueMs, busyMs: performance.now() - startedAt });
  }

  /** Sees one delivery to its end and says which it was. */
  private async see(job: DeliveredJob, queueMs: number): Promise<JobOutcome> {
    const { log, limits } = this.connection;
    const delivery = this.read(job);
    if (delivery === undefined) {
      log.error({ subject: job.message.subject }, 'a message that is no job was removed from the queue');
      job.terminate();
      return 'failed';
    }
    const { deadlineMs } = delivery;
    const { requestId } = delivery.at;
    if (this.cancellation.knows(requestId)) {
      job.terminate();
      return 'cancelled';
    }
    if (Date.now() > deadlineMs + limits.clockMarginMs) {
      return this.fail(job, delivery, 'late', 'DEADLINE_EXCEEDED', 'the deadline passed while the job was queued');
    }
    if (job.deliveries > limits.maxDeliveries) {
      const text = `the job was delivered ${limits.maxDeliveries} times and never finished`;
      return this.fail(job, delivery, 'exhausted', 'DELIVERY_EXHAUSTED', text);
    }
    let message: JobMessage<K>;
    try {
      message = jobCodecs[this.kind].decode(job.message.data);
      if (!sameKey(message.key, delivery.key)) throw new Error('its key is not that of its subject and headers');
    } catch (reason) {
      return this.fail(job, delivery, 'failed', 'INTERNAL', `the job cannot be decoded: ${messageOf(reason)}`);
    }
    const cancelled = new AbortController();
    this.running.set(cancelled, requestId);
    using until = signalWithDeadline(cancelled.signal, deadlineMs + limits.clockMarginMs);
    // The work begins while the tombstone is looked for: nearly always there is none. One that is found aborts the work
    // through `onCancel`, and what the work makes is not published before.
    const lookup = this.cancellation.isCancelled(requestId);
    try {
      await this.options.handler(message, {
        signal: until.signal,
        deadlineMs,
        queueMs,
        deliveries: job.deliveries,
        progress: () => {
          if (!this.connection.nc.isClosed()) job.working();
        },
      });
      if (await lookup) {
        job.terminate();
        return 'cancelled';
      }
      job.ack();
      return 'done';
    } catch (reason) {
      if (cancelled.signal.aborted || this.cancellation.knows(requestId)) {
        job.terminate();
        return 'cancelled';
      }
      if (until.signal.aborted) {
        return this.fail(job, delivery, 'late', 'DEADLINE_EXCEEDED', 'the deadline passed while the job was done');
      }
      return await this.afterError(job, delivery, TesseraError.from(reason));
    } finally {
      this.running.delete(cancelled);
    }
  }

  private async afterError(job: DeliveredJob, delivery: Delivery, error: TesseraError): Promise<JobOutcome> {
    const { limits, log } = this.connection;
    const fields = { kind: this.kind, requestId: delivery.at.requestId, code: error.code, error: error.message };
    if (!error.retryable && error.code !== 'CANCELLED') {
      log.warn(fields, 'a job cannot be done');
      return this.fail(job, delivery, 'failed', error.code, error.message);
    }
    if (job.deliveries >= limits.maxDeliveries) {
      log.warn(fields, 'a job failed for the last time');
      const text = `${error.message} (${error.code}; tried ${job.deliveries} times)`;
      return this.fail(job, delivery, 'exhausted', 'DELIVERY_EXHAUSTED', text);
    }
    log.info({ ...fields, deliveries: job.deliveries }, 'a job failed and will be tried again');
    job.retry(Math.min(limits.retryDelayMs * 2 ** (job.deliveries - 1), limits.retryDelayMs * 16));
    return 'retried';
  }

  /** The failure takes the product's place, and only then the job leaves the queue: no one waits for nothing. */
  private async fail(
    job: DeliveredJob,
    { at, key, deadlineMs }: Delivery,
    outcome: JobOutcome,
    code: ErrorCode,
    message: string,
  ): Promise<JobOutcome> {
    await this.publishFailure(this.kind, key, at.tile, new TesseraError(code, message), deadlineMs);
    job.terminate();
    return outcome;
  }

  private read(job: DeliveredJob): Delivery | undefined {
    const { subject, headers } = job.message;
    const at = this.connection.subjects.parse(subject);
    const deadlineMs = headerNumber(headers?.get(messageHeaders.deadline));
    const attempt = headerNumber(headers?.get(messageHeaders.attempt));
    if (at === undefined || deadlineMs === undefined || attempt === undefined) return undefined;
    return { at, key: { requestId: at.requestId, attempt, item: at.item }, deadlineMs };
  }
}

function sameKey(one: JobKey | undefined, other: JobKey): boolean {
  return one?.requestId === other.requestId && one.item === other.item && one.attempt === other.attempt;
}
