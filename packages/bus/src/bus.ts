import { JetStreamApiError } from '@nats-io/jetstream';
import { abortable } from '@tessera/flow';
import {
  type Blob,
  type ConnectJob,
  type EngineStatus,
  Failure,
  type Float32Tensor,
  failurePart,
  type JobKey,
  type JobKind,
  type JobPlace,
  jobRoutes,
  MediaEvent,
  outsideText,
  type StreamPlan,
  streamPlan,
  type TensorRef,
  TesseraError,
} from '@tessera/protocol';
import type { BusLimits, BusOptions } from './bus-options.js';
import { BusConnection, messageOf } from './connection/bus-connection.js';
import { type Announcer, announceEngine, EngineDirectory } from './engines/engine-directory.js';
import { Cancellation } from './jobs/cancellation.js';
import { type JobMessage, jobCodecs } from './jobs/job-codec.js';
import { Worker, type WorkOptions } from './jobs/worker.js';
import { type MediaHold, MediaStore } from './parts/media-store.js';
import { endsForGood, PartStore } from './parts/part-store.js';
import { type PublishTensorOptions, type TakenTensor, TensorStore } from './parts/tensor-store.js';
import { DrawingInbox } from './products/drawing-inbox.js';
import { removeInbox } from './products/inbox.js';
import { TokenInbox } from './products/token-inbox.js';
import {
  type QueueDepth,
  type QueueState,
  queueDepths,
  queueStates,
  type StreamState,
  streamStates,
} from './streams/bus-states.js';
import { Janitor, sayRevision } from './streams/janitor.js';
import { missingStreams } from './streams/missing-streams.js';
import { Publisher, type PublishOptions, type Stored } from './streams/publisher.js';
import { applyStreamPlan } from './streams/setup.js';

export interface PublishJobOptions extends PublishOptions {
  /** The address of the process that waits for what comes of the job. */
  readonly deliverTo: string;
}

/** A job that lies in its queue, for as long as the connection holds. */
export interface QueuedJob extends Stored {
  readonly kind: JobKind;
}

/** A failure is worth telling for a while even when its request is late. */
const failureLifeMs = 5000;

/** The most bytes of a failure's sentence. */
const maxFailureBytes = 4096;

/**
 * One process's door to NATS: queues of jobs, what stages make for whom, cancellation, and who is there.
 *
 * It reconnects for ever. The streams are in memory, so a restarted server has lost them: every bus makes them again
 * when it is connected again, and the gateway sends again what was on them.
 */
export class Bus {
  private readonly publisher: Publisher;
  private readonly cancellation: Cancellation;
  private readonly tensors: TensorStore;
  private readonly media: MediaStore;
  private readonly closing = new AbortController();
  private readonly inboxes: { close(): Promise<void> }[] = [];
  private applied = false;
  private settingUp: Promise<void> | undefined;
  private streamsThere = false;

  private constructor(private readonly connection: BusConnection) {
    this.publisher = new Publisher(connection, (signal) => this.restore(signal));
    this.cancellation = new Cancellation(connection);
    const parts = new PartStore(connection, this.publisher);
    this.tensors = new TensorStore(connection, this.publisher, parts);
    this.media = new MediaStore(connection, parts);
    connection.onReconnect(() => {
      this.streamsThere = false;
      void this.restore().catch(() => {});
    });
  }

  /** @throws TesseraError STAGE_UNAVAILABLE when nothing answers at the URL; CONFIG_INVALID */
  static async connect(options: BusOptions): Promise<Bus> {
    return new Bus(await BusConnection.open(options));
  }

  get limits(): BusLimits {
    return this.connection.limits;
  }

  /** Where NATS is, as it may be shown. */
  get url(): string {
    return this.connection.url;
  }

  /** Whether the connection stands at this moment; for readiness. */
  get isOnline(): boolean {
    return this.connection.isOnline;
  }

  /** Whether the streams are there, as far as this process knows. */
  get hasStreams(): boolean {
    return this.streamsThere;
  }

  /** Asks NATS whether the streams are there, and makes them again where one is missing. */
  async lookForStreams(): Promise<void> {
    if (!this.isOnline) return;
    const missing = await missingStreams(this.connection, this.plan());
    this.streamsThere = missing.length === 0;
    if (this.streamsThere) return;
    this.connection.log.warn({ streams: missing }, 'streams are missing on NATS; they are made again');
    await this.restore();
  }

  /**
   * Creates or updates the streams and this revision's durable consumers. Idempotent; any number of processes may do it at
   * once. What differs is updated by the first call of a process; later ones, after a reconnect, only create.
   * @throws TesseraError CONFIG_INVALID when something there cannot become what is wanted; STAGE_UNAVAILABLE
   */
  async setup(): Promise<void> {
    // One at a time: after a reconnect many parts of the bus find at once that streams are missing.
    this.settingUp ??= this.applyPlan()
      .then(() => {
        this.streamsThere = true;
      })
      .finally(() => {
        this.settingUp = undefined;
      });
    await this.settingUp;
  }

  private async applyPlan(): Promise<void> {
    await applyStreamPlan(this.connection, this.plan(), this.applied ? 'create' : 'apply');
    if (this.applied) return;
    this.applied = true;
    void sayRevision(this.connection, this.closing.signal);
  }

  /**
   * Queues a job. While the queue is full it waits up to `limits.queueWaitMs`; while NATS is away, until the deadline.
   * @throws TesseraError MESSAGE_TOO_LARGE, QUEUE_FULL (with retryAfterMs), DEADLINE_EXCEEDED, CANCELLED
   */
  async publishJob<K extends JobKind>(kind: K, job: JobMessage<K>, options: PublishJobOptions): Promise<QueuedJob> {
    const { subjects, trace } = this.connection;
    const { requestId, item, attempt } = requireKey(job.key);
    await this.cancellation.refuseCancelled(requestId);
    const codec = jobCodecs[kind];
    const subject = subjects.job(kind, { requestId, item, tile: codec.tile(job) });
    const message = {
      kind,
      stream: subjects.queue(kind),
      subject,
      id: `${subject}/${attempt}`,
      attempt,
      deliverTo: options.deliverTo,
      payload: codec.encode(job),
    };
    const traced = { kind, stream: message.stream, requestId };
    const stored = await trace.send(traced, () => this.publisher.publish(message, options));
    return { kind, ...stored };
  }

  /** Takes a job back, if it is still in its queue. Never throws: what stays is thrown away by whoever pulls it. */
  async withdrawJob({ kind, sequence, epoch }: QueuedJob): Promise<void> {
    const { manager, subjects, log } = this.connection;
    if (!this.connection.isCurrent(epoch)) return;
    await manager.streams.deleteMessage(subjects.queue(kind), sequence, false).catch((reason: unknown) => {
      if (!(reason instanceof JetStreamApiError)) log.debug({ error: messageOf(reason) }, 'a job was not withdrawn');
    });
  }

  /**
   * Whether work on a tile goes on somewhere: its job waits or is in a worker's hands, in either stage, or its tokens are
   * on their way. What is not is lost, or has failed.
   * @param firstTile of the encode job that the tile belongs to
   * @throws TesseraError STAGE_UNAVAILABLE when it cannot be found out
   */
  async isTileUnderWay(at: JobPlace & { readonly firstTile: number }, address: string): Promise<boolean> {
    const { subjects } = this.connection;
    const { requestId, item, tile } = at;
    const encode = subjects.job('encode', { requestId, item, tile: at.firstTile });
    if (await this.isThere(subjects.queue('encode'), encode)) return true;
    if (await this.isThere(subjects.queue('connect'), subjects.job('connect', { requestId, item, tile }))) return true;
    return this.isThere(subjects.shardOf('tokens', address), subjects.productFilter('tokens', address, at));
  }

  /**
   * Takes jobs of a kind into free slots until the signal aborts, then finishes the running ones and resolves.
   *
   * A handler that resolves has done the job. One that throws an error which is not retryable has the failure published
   * in the place of the job's product; a retryable one brings the job back after a while, at most
   * `limits.maxDeliveries` times in all. A job whose request was cancelled ends without a word; a job that is surely
   * late ends with DEADLINE_EXCEEDED. The job is kept alive while its handler works or waits; one that gives no sign of
   * progress for `limits.stallMs` is taken from it.
   */
  async work<K extends JobKind>(kind: K, options: WorkOptions<K>): Promise<void> {
    const worker = new Worker(
      this.connection,
      this.cancellation,
      (jobKind, key, tile, error, to) => this.publishFailure(jobKind, key, tile, error, to),
      () => this.restore(),
      kind,
      options,
    );
    await worker.run();
  }

  /** Says that a job's product will not come, where the product is awaited. */
  async publishFailure(
    kind: JobKind,
    key: JobKey,
    tile: number,
    error: TesseraError,
    options: PublishJobOptions,
  ): Promise<void> {
    const { subjects } = this.connection;
    const { stage, failureKind } = jobRoutes[kind];
    const { requestId, item, attempt } = key;
    const subject = subjects.product(failureKind, options.deliverTo, { requestId, item, tile, part: failurePart });
    await this.publisher.publish(
      {
        kind: failureKind,
        stream: subjects.shardOf(failureKind, options.deliverTo),
        subject,
        id: `${subject}/${attempt}/${kind}`,
        attempt,
        payload: Failure.encode({
          key,
          code: error.code,
          message: outsideText(error.message, maxFailureBytes),
          stage,
        }).finish(),
      },
      { ...options, deadlineMs: Math.max(options.deadlineMs, Date.now() + failureLifeMs) },
    );
  }

  /**
   * Sends a tile's visual tokens [rows, ...] to the engine that waits for them, as float16 in parts of at most
   * `limits.partBytes`; waits while the stream is full.
   * @throws TesseraError MESSAGE_TOO_LARGE over `limits.maxTensorBytes`, or when one row exceeds a part
   */
  async publishTokens(key: JobKey, tile: number, tokens: Float32Tensor, options: PublishTensorOptions): Promise<void> {
    await this.cancellation.refuseCancelled(key.requestId);
    await this.tensors.send(key, tile, tokens, options);
  }

  /** A tile's features as a connect job carries them: inline up to `limits.partBytes`, else stored in parts. */
  async featuresRef(key: JobKey, tile: number, tensor: Float32Tensor, options: PublishOptions): Promise<TensorRef> {
    await this.cancellation.refuseCancelled(key.requestId);
    return this.tensors.reference(key, tile, tensor, options);
  }

  /**
   * The features that a connect job refers to; call `taken` once the tokens made of them are published.
   * @throws TesseraError TENSOR_INVALID; STAGE_UNAVAILABLE (retryable) when parts are not on the stream
   */
  async takeFeatures(reference: TensorRef, signal: AbortSignal): Promise<TakenTensor> {
    return this.tensors.take(reference, signal);
  }

  /**
   * Queues the connect job of one tile with its features; they are removed where the job is not taken and nobody will try
   * again.
   * @throws TesseraError as publishJob
   */
  async publishConnectJob(
    job: Omit<ConnectJob, 'features'>,
    features: Float32Tensor,
    options: PublishJobOptions,
  ): Promise<void> {
    const reference = await this.featuresRef(requireKey(job.key), job.tile, features, options);
    try {
      await this.publishJob('connect', { ...job, features: reference }, options);
    } catch (reason) {
      if (endsForGood(reason)) await this.tensors.discard(reference);
      throw reason;
    }
  }

  /** Removes the features of a connect job that nobody will do. */
  async discardFeatures(reference: TensorRef): Promise<void> {
    await this.tensors.discard(reference);
  }

  /**
   * Removes an engine's inbox and what lies there. Never throws. An engine that is not gone after all makes its inbox anew,
   * and asks for what it misses.
   */
  async abandonTokens(address: string): Promise<void> {
    await removeInbox(this.connection, 'tokens', address);
  }

  /** Opens this process's inbox of visual tokens. One for each process; it is closed with the bus. */
  async openTokenInbox(): Promise<TokenInbox> {
    const inbox = await TokenInbox.open(this.connection, () => this.restore());
    this.inboxes.push(inbox);
    return inbox;
  }

  /** Opens this process's inbox of drawings. One for each process; it is closed with the bus. */
  async openDrawingInbox(): Promise<DrawingInbox> {
    const inbox = await DrawingInbox.open(this.connection, () => this.restore());
    this.inboxes.push(inbox);
    return inbox;
  }

  /** Sends one event of a drawing to the gateway that waits for it; await it before the next, so that their order is kept. */
  async publishDrawingEvent(event: MediaEvent, options: PublishJobOptions): Promise<void> {
    const { subjects } = this.connection;
    const { requestId, item, attempt } = requireKey(event.key);
    await this.cancellation.refuseCancelled(requestId);
    const place = { requestId, item, tile: 0, part: event.sequence };
    const subject = subjects.product('drawings', options.deliverTo, place);
    const stream = subjects.shardOf('drawings', options.deliverTo);
    const payload = MediaEvent.encode(event).finish();
    await this.publisher.publish(
      { kind: 'drawings', stream, subject, id: `${subject}/${attempt}`, attempt, payload },
      options,
    );
  }

  /**
   * Holds a media item for the encoders until it is released.
   * @param digest SHA-256 of the bytes, hex
   * @throws TesseraError MEDIA_TOO_LARGE
   */
  holdMedia(bytes: Uint8Array, digest: string): MediaHold {
    return this.media.hold(bytes, digest);
  }

  /** The bytes, checked by size and digest. @throws TesseraError STAGE_UNAVAILABLE (retryable) when they are absent */
  async getMedia(blob: Blob, signal: AbortSignal): Promise<Uint8Array> {
    return this.media.get(blob, signal);
  }

  /** Ends a request everywhere: stops running work, keeps late work from starting. */
  async cancel(requestId: string): Promise<void> {
    await this.cancellation.cancel(requestId);
  }

  async isCancelled(requestId: string): Promise<boolean> {
    return this.cancellation.isCancelled(requestId);
  }

  /** Calls the listener with each request that is cancelled from now on; returns how to stop that. */
  onCancel(listener: (requestId: string) => void): () => void {
    return this.cancellation.onCancel(listener);
  }

  /** Announces an engine every half second until the signal aborts. */
  announce(status: () => EngineStatus, signal: AbortSignal): Announcer {
    return announceEngine(this.connection, status, signal);
  }

  /** The engines that announce themselves, until the signal aborts. */
  watchEngines(signal: AbortSignal): EngineDirectory {
    return new EngineDirectory(this.connection, signal);
  }

  /** Removes what dead revisions and dead processes left on the streams, until the signal aborts. */
  async tidy(signal: AbortSignal): Promise<void> {
    await new Janitor(this.connection).run(signal);
  }

  /**
   * Resolves when the connection to NATS was lost and is back: what was on the streams may be gone.
   * @throws the signal's reason
   */
  async reconnected(signal: AbortSignal): Promise<void> {
    let forget = () => {};
    const again = new Promise<void>((resolve) => {
      forget = this.connection.onReconnect(resolve);
    });
    await abortable(again, signal).finally(forget);
  }

  /** How much waits in each queue of this revision; empty while NATS is away. */
  async queueDepths(): Promise<QueueDepth[]> {
    return queueDepths(this.connection);
  }

  /** Sends what is still to be sent and closes the connection. Whatever waits on this bus ends with DRAINING. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.all(this.inboxes.map((inbox) => inbox.close()));
    await this.connection.close();
  }

  private async isThere(stream: string, subject: string): Promise<boolean> {
    const { manager } = this.connection;
    try {
      return (await manager.direct.getMessage(stream, { seq: 1, next_by_subj: subject })) !== null;
    } catch (reason) {
      throw new TesseraError('STAGE_UNAVAILABLE', `stream ${stream} cannot be read: ${messageOf(reason)}`, {
        cause: reason,
      });
    }
  }

  private plan(): StreamPlan {
    return streamPlan(this.connection.subjects, this.connection.limits);
  }

  /** How each queue of this revision fares; a queue that cannot be asked is left out, all of them while NATS is away. */
  async queueStates(): Promise<QueueState[]> {
    return queueStates(this.connection);
  }

  /** What each stream of this deployment holds; empty while NATS is away. */
  async streamStates(): Promise<StreamState[]> {
    return streamStates(this.connection);
  }

  /** Makes again what the server may have lost. @throws the signal's reason; TesseraError when it cannot be done */
  private async restore(signal?: AbortSignal): Promise<void> {
    const setup = this.setup().catch((reason: unknown) => {
      this.connection.log.warn({ error: messageOf(reason) }, 'the streams could not be made again yet');
      throw reason;
    });
    await (signal === undefined ? setup : abortable(setup, signal));
  }
}

function requireKey(key: JobKey | undefined): JobKey {
  if (key === undefined) throw new TesseraError('INTERNAL', 'a message without a key');
  return key;
}
