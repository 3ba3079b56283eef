import { signalWithDeadline } from '@tessera/flow';
import {
  type DeclaredQueue,
  type ErrorCode,
  headerNumber,
  type JobKey,
  type JobMessage,
  type JobPlace,
  messageHeaders,
  type TensorRef,
  TesseraError,
} from '@tessera/protocol';
import { hasUnknownFields } from '@tessera/service';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';
import type { TracedDelivery } from '../connection/bus-trace.js';
import { attend } from './attendance.js';
import type { Cancellation } from './cancellation.js';
import type { DeliveredMessage } from './delivered-message.js';
import type { JobOutcome } from './job-outcome.js';
import { Puller } from './puller.js';
import { retryDelay } from './retry-delay.js';

export interface JobContext {
  /** Aborts when the request is cancelled, its deadline has surely passed, or the job was taken away. */
  readonly signal: AbortSignal;
  /** Unix ms on the gateway's clock. */
  readonly deadlineMs: number;
  /** How long the job waited, by the server's clock and this machine's. */
  readonly queueMs: number;
  /** Which delivery this is, from 1. */
  readonly deliveries: number;
  /** The address of the process that waits for what comes of the job. */
  readonly deliverTo: string;
  /** To be called after each tile or step: a handler that gives no sign for `stallMs` counts as stuck. */
  progress(): void;
  /** Awaits something that others have to do: until it comes the handler is not stuck. It keeps its slot. */
  waits<T>(what: Promise<T>): Promise<T>;
  /** The same, and lends the slot to another job in the meantime: nothing is computed for this one. */
  idle<T>(what: Promise<T>): Promise<T>;
}

export interface WorkOptions<Job extends JobMessage> {
  /** How many jobs this process computes at once. */
  readonly slots: number;
  /** How many it holds at once, those that only wait included; by default four times the slots. */
  readonly maxHeld?: number;
  /** Aborted to drain: no more jobs are taken, running ones are finished. */
  readonly signal: AbortSignal;
  /** Aborted when this process cannot finish what it holds: it goes back at once, and nobody waits for its ack wait. */
  readonly overdue?: AbortSignal;
  /** How long a job surely takes, in milliseconds: one whose deadline is nearer is not begun. By default nothing. */
  expectedMs?(job: Job): number;
  handler(job: Job, context: JobContext): Promise<void>;
}

/** What the message says besides its payload. */
interface Envelope {
  readonly at: JobPlace;
  readonly key: JobKey;
  readonly deadlineMs: number;
  readonly deliverTo: string;
}

/** What a worker leaves to the bus. */
export interface WorkerDoors {
  /** Says that what was to come of the job will not come. */
  fail(
    key: JobKey,
    tile: number,
    error: TesseraError,
    options: { readonly deadlineMs: number; readonly deliverTo: string },
  ): Promise<void>;
  /** Removes a tensor that nobody will take. */
  discard(tensor: TensorRef): Promise<void>;
  /** Makes the streams again if the server lost them. */
  restore(): Promise<void>;
}

/** A job in the hands of this process. */
interface HeldJob {
  readonly delivered: DeliveredMessage;
  readonly requestId: string;
  readonly stop: AbortController;
  progressAt: number;
  /** Things that the handler waits for and that others have to do. */
  waiting: number;
  /** Whether it was taken from its handler: as stuck, or since the process ends. */
  taken: boolean;
  /** Called a while after that: nobody waits for the handler any more. */
  abandon(): void;
}

/** How long a stuck handler has to end after it was told to, before nobody waits for it any more. */
const stallGraceMs = 2000;

/** The worker side of one queue: takes jobs into free slots, keeps them alive, and sees each to one of its ends. */
export class Worker<Job extends JobMessage> {
  private readonly held = new Set<HeldJob>();
  private readonly processing = new Set<Promise<void>>();
  private readonly puller: Puller;
  private readonly maxHeld: number;
  /** Jobs that came and have not ended. */
  private holding = 0;
  /** Those that are computed, or may be: all but the ones that lend their slot. */
  private busy = 0;
  /** Jobs that were asked for and have not come. */
  private asked = 0;

  constructor(
    private readonly connection: BusConnection,
    private readonly cancellation: Cancellation,
    private readonly doors: WorkerDoors,
    private readonly queue: DeclaredQueue<Job>,
    private readonly options: WorkOptions<Job>,
  ) {
    const { subjects } = connection;
    this.maxHeld = options.maxHeld ?? 4 * options.slots;
    this.puller = new Puller(connection, {
      stream: subjects.queue(queue),
      consumer: subjects.workers,
      restore: () => doors.restore(),
      onMessage: (delivered) => this.take(delivered),
    });
  }

  /** Works until the signal aborts and every running job has ended. */
  async run(): Promise<void> {
    const { signal, overdue } = this.options;
    const handBack = (): void => this.handBack();
    const forget = this.cancellation.onCancel((requestId) => {
      for (const job of this.held) {
        if (job.requestId === requestId) job.stop.abort(new TesseraError('CANCELLED', 'the request was cancelled'));
      }
    });
    // Until its last job has ended: while it finishes them nobody is to think that they wait for a worker.
    const leave = attend(this.connection, this.queue);
    const beat = setInterval(() => this.keepAlive(), this.connection.limits.ackWaitMs / 4);
    try {
      if (!signal.aborted) {
        this.askForMore();
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      }
      await this.puller.stop();
      // Not before: what goes back while requests of this process are out would come here again.
      if (overdue?.aborted === true) handBack();
      else overdue?.addEventListener('abort', handBack, { once: true });
      while (this.processing.size > 0) await Promise.all(this.processing);
    } finally {
      clearInterval(beat);
      overdue?.removeEventListener('abort', handBack);
      leave();
      forget();
    }
  }

  private askForMore(): void {
    if (this.options.signal.aborted) return;
    const free = this.options.slots - this.busy - this.asked;
    const room = this.maxHeld - this.holding - this.asked;
    const count = Math.min(free, room);
    if (count <= 0) return;
    this.asked += count;
    this.puller.request(count);
  }

  private take(delivered: DeliveredMessage): void {
    this.asked = Math.max(0, this.asked - 1);
    this.busy++;
    this.holding++;
    const done = this.process(delivered).finally(() => {
      this.busy--;
      this.holding--;
      this.processing.delete(done);
      this.askForMore();
    });
    this.processing.add(done);
  }

  /** Others are to do what is held, and at once. */
  private handBack(): void {
    for (const job of this.held) {
      job.taken = true;
      job.stop.abort(new TesseraError('DRAINING', 'the worker ends before the job is done'));
      job.abandon();
    }
  }

  /** Tells the server that jobs are in good hands; one that gives no sign of progress is taken away. */
  private keepAlive(): void {
    const { limits, log, observer } = this.connection;
    const oldest = performance.now() - limits.stallMs;
    for (const job of this.held) {
      if (job.taken) continue;
      if (job.waiting > 0 || job.progressAt > oldest) {
        job.delivered.working();
        continue;
      }
      job.taken = true;
      log.error(
        { kind: this.queue.name, requestId: job.requestId },
        `a job gave no sign for ${limits.stallMs} ms; it goes back`,
      );
      observer.jobStalled?.(this.queue.name);
      const stuck = new TesseraError('STAGE_UNAVAILABLE', `no sign of progress for ${limits.stallMs} ms`);
      job.stop.abort(stuck);
      setTimeout(() => job.abandon(), stallGraceMs);
    }
  }

  private async process(job: DeliveredMessage): Promise<void> {
    const { observer, log, trace } = this.connection;
    const startedAt = performance.now();
    const queueMs = Math.max(0, Date.now() - job.storedAtMs);
    const traceparent = job.message.headers?.get(messageHeaders.traceparent) || undefined;
    const work = () => this.see(job, queueMs);
    let outcome: JobOutcome;
    try {
      outcome = await trace.continue(traceparent, this.traced(job, queueMs), work);
    } catch (reason) {
      // Only what was to report the end can fail here (NATS is away): the job comes back after its ack wait.
      log.warn(
        { kind: this.queue.name, subject: job.message.subject, error: messageOf(reason) },
        'a job ended unreported',
      );
      outcome = 'retried';
    }
    observer.jobEnded?.(this.queue.name, outcome, { queueMs, busyMs: performance.now() - startedAt });
  }

  private traced({ message, deliveries }: DeliveredMessage, queueMs: number): TracedDelivery {
    const { subjects } = this.connection;
    const requestId = subjects.parseJob(message.subject)?.requestId ?? '';
    return {
      kind: this.queue.name,
      stream: subjects.queue(this.queue),
      durable: subjects.workers,
      requestId,
      queueMs,
      deliveries,
    };
  }

  /** Sees one delivery to its end and says which it was. */
  private async see(job: DeliveredMessage, queueMs: number): Promise<JobOutcome> {
    const { log, limits } = this.connection;
    const envelope = this.read(job);
    if (envelope === undefined) {
      log.error({ subject: job.message.subject }, 'a message that is no job was removed from the queue');
      job.terminate();
      return 'failed';
    }
    const { deadlineMs } = envelope;
    const { requestId } = envelope.at;
    if (this.cancellation.knows(requestId)) return this.drop(job);
    if (Date.now() > deadlineMs + limits.clockMarginMs) {
      return this.fail(job, envelope, 'late', 'DEADLINE_EXCEEDED', 'the deadline passed while the job was queued');
    }
    if (job.deliveries > limits.maxDeliveries) {
      const text = `the job was delivered ${limits.maxDeliveries} times and never finished`;
      return this.fail(job, envelope, 'exhausted', 'DELIVERY_EXHAUSTED', text);
    }
    let message: Job;
    try {
      message = this.queue.message.decode(job.message.data);
      if (!sameKey(message.key, envelope.key)) throw new Error('its key is not that of its subject and headers');
    } catch (reason) {
      return this.fail(job, envelope, 'failed', 'INTERNAL', `the job cannot be decoded: ${messageOf(reason)}`);
    }
    if (hasUnknownFields(message)) this.connection.observer.unknownFields?.(this.queue.name);
    const expectedMs = this.options.expectedMs?.(message) ?? 0;
    if (expectedMs > 0 && Date.now() + expectedMs > deadlineMs + limits.clockMarginMs) {
      const text = `the job takes about ${Math.ceil(expectedMs)} ms, longer than its deadline allows; it was not begun`;
      return this.fail(job, envelope, 'late', 'DEADLINE_EXCEEDED', text);
    }
    return this.work(job, envelope, message, queueMs);
  }

  private async work(job: DeliveredMessage, envelope: Envelope, message: Job, queueMs: number): Promise<JobOutcome> {
    const { limits } = this.connection;
    const { deadlineMs, deliverTo } = envelope;
    const { requestId } = envelope.at;
    let abandon = (): void => {};
    // The end of a handler that is stuck and does not even hear its signal.
    const abandoned = new Promise<void>((_, reject) => {
      abandon = () => reject(held.stop.signal.reason);
    });
    abandoned.catch(() => {});
    const held: HeldJob = {
      abandon,
      delivered: job,
      requestId,
      stop: new AbortController(),
      progressAt: performance.now(),
      waiting: 0,
      taken: false,
    };
    this.held.add(held);
    using until = signalWithDeadline(held.stop.signal, deadlineMs + limits.clockMarginMs);
    const { signal } = until;
    // The work begins while the tombstone is looked for: nearly always there is none. One that is found aborts the work
    // through `onCancel`, and what the work makes is not published before.
    const lookup = this.cancellation.isCancelled(requestId);
    try {
      const context = { signal, deadlineMs, queueMs, deliveries: job.deliveries, deliverTo, ...this.signs(held) };
      await Promise.race([this.options.handler(message, context), abandoned]);
      if (await lookup) return this.drop(job);
      job.ack();
      return 'done';
    } catch (reason) {
      if (this.cancellation.knows(requestId)) return this.drop(job);
      if (signal.aborted && !held.stop.signal.aborted) {
        return this.fail(job, envelope, 'late', 'DEADLINE_EXCEEDED', 'the deadline passed while the job was done');
      }
      return await this.afterError(job, envelope, TesseraError.from(held.taken ? held.stop.signal.reason : reason));
    } finally {
      this.held.delete(held);
    }
  }

  private signs(held: HeldJob): Pick<JobContext, 'progress' | 'waits' | 'idle'> {
    const progress = (): void => {
      held.progressAt = performance.now();
    };
    const waits = async <T>(what: Promise<T>): Promise<T> => {
      held.waiting++;
      try {
        return await what;
      } finally {
        held.waiting--;
        progress();
      }
    };
    const idle = async <T>(what: Promise<T>): Promise<T> => {
      this.busy--;
      this.askForMore();
      try {
        return await waits(what);
      } finally {
        this.busy++;
      }
    };
    return { progress, waits, idle };
  }

  private async afterError(job: DeliveredMessage, envelope: Envelope, error: TesseraError): Promise<JobOutcome> {
    const { limits, log } = this.connection;
    const fields = { kind: this.queue.name, requestId: envelope.at.requestId, code: error.code, error: error.message };
    // The handler knows better how long it takes: another delivery would be later still.
    if (error.code === 'DEADLINE_EXCEEDED') return this.fail(job, envelope, 'late', error.code, error.message);
    if (!error.retryable && error.code !== 'CANCELLED') {
      log.warn(fields, 'a job cannot be done');
      return this.fail(job, envelope, 'failed', error.code, error.message);
    }
    // It is no fault of the job's that this process ends.
    const isLeaving = error.code === 'DRAINING';
    if (job.deliveries >= limits.maxDeliveries && !isLeaving) {
      log.warn(fields, 'a job failed for the last time');
      const text = `${error.message} (${error.code}; tried ${job.deliveries} times)`;
      return this.fail(job, envelope, 'exhausted', 'DELIVERY_EXHAUSTED', text);
    }
    log.info({ ...fields, deliveries: job.deliveries }, 'a job failed and will be tried again');
    job.retry(isLeaving ? 0 : retryDelay(limits.retryDelayMs, job.deliveries));
    return 'retried';
  }

  /** The failure takes the product's place, and only then the job leaves the queue: no one waits for nothing. */
  private async fail(
    job: DeliveredMessage,
    { at, key, deadlineMs, deliverTo }: Envelope,
    outcome: JobOutcome,
    code: ErrorCode,
    message: string,
  ): Promise<JobOutcome> {
    await this.doors.fail(key, at.tile, new TesseraError(code, message), { deadlineMs, deliverTo });
    await this.discard(job);
    job.terminate();
    return outcome;
  }

  /** The job of a request that was cancelled ends without a word. */
  private async drop(job: DeliveredMessage): Promise<JobOutcome> {
    await this.discard(job);
    job.terminate();
    return 'cancelled';
  }

  private async discard(job: DeliveredMessage): Promise<void> {
    const { message, tensor } = this.queue;
    if (tensor === undefined) return;
    try {
      const reference = tensor(message.decode(job.message.data));
      if (reference !== undefined) await this.doors.discard(reference);
    } catch (reason) {
      // Garbage, or a server that is away: what is left goes when it is old.
      this.connection.log.debug({ error: messageOf(reason) }, 'what a job referred to was not removed');
    }
  }

  private read(job: DeliveredMessage): Envelope | undefined {
    const { subject, headers } = job.message;
    const at = this.connection.subjects.parseJob(subject);
    const deadlineMs = headerNumber(headers?.get(messageHeaders.deadline));
    const attempt = headerNumber(headers?.get(messageHeaders.attempt));
    const deliverTo = headers?.get(messageHeaders.deliverTo);
    if (at === undefined || deadlineMs === undefined || attempt === undefined || !deliverTo) return undefined;
    return { at, key: { requestId: at.requestId, attempt, item: at.item }, deadlineMs, deliverTo };
  }
}

function sameKey(one: JobKey | undefined, other: JobKey): boolean {
  return one?.requestId === other.requestId && one.item === other.item && one.attempt === other.attempt;
}
