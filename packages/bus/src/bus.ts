import { JetStreamApiError } from '@nats-io/jetstream';
import { abortable } from '@tessera/flow';
import {
  type Blob,
  type DeclaredProduct,
  type DeclaredQueue,
  type EngineStatus,
  type EventProduct,
  Failure,
  type Float32Tensor,
  failurePart,
  type JobKey,
  type JobKind,
  type JobMessage,
  type JobPlace,
  outsideText,
  type ProductContent,
  type ProductEvent,
  type ProductKind,
  type StreamPlan,
  streamPlan,
  type TensorProduct,
  type TensorRef,
  TesseraError,
} from '@tessera/protocol';
import type { Announcer } from './announcements/announcements.js';
import type { BusLimits, BusOptions } from './bus-options.js';
import { BusConnection, messageOf } from './connection/bus-connection.js';
import { announceEngine, EngineDirectory } from './engines/engine-directory.js';
import { type ForeignEngine, hearForeignEngines } from './engines/foreign-engines.js';
import { Attendance } from './jobs/attendance.js';
import { Cancellation } from './jobs/cancellation.js';
import { Worker, type WorkOptions } from './jobs/worker.js';
import { type MediaHold, MediaStore } from './parts/media-store.js';
import { endsForGood, PartStore } from './parts/part-store.js';
import { type TakenTensor, TensorStore } from './parts/tensor-store.js';
import { type FoundUpload, type Upload, UploadStore } from './parts/upload-store.js';
import { eventAssemblies } from './products/event-assembly.js';
import { removeInbox } from './products/inbox.js';
import { ProductInbox } from './products/product-inbox.js';
import { type ReceivedTensor, tensorAssemblies } from './products/tensor-assembly.js';
import { announceShard, type Known, ShardDirectory } from './shards/shard-directory.js';
import type { ShardKind, ShardStatus } from './shards/shard-kinds.js';
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

export interface DeliveryOptions extends PublishOptions {
  /** The address of the process that waits for it, or, of a job, for what comes of it. */
  readonly deliverTo: string;
}

/** A job that lies in its queue, for as long as the connection holds. */
export interface QueuedJob extends Stored {
  /** The queue's stream. */
  readonly stream: string;
}

/** A failure is worth telling for a while even when its request is late. */
const failureLifeMs = 5000;

/** The most bytes of a failure's sentence. */
const maxFailureBytes = 4096;

/** Pieces of a product in flight at once: enough to hide the round trip, few enough not to crowd out others. */
const piecesInFlight = 4;

/**
 * One process's door to NATS: queues of jobs, what stages make for whom, cancellation, and who is there. What can be
 * queued and sent is declared in packages/protocol.
 *
 * It reconnects for ever. The streams are in memory, so a restarted server has lost them: every bus makes them again
 * when it is connected again, and the gateway sends again what was on them.
 */
export class Bus {
  private readonly publisher: Publisher;
  private readonly cancellation: Cancellation;
  private attendance: Attendance | undefined;
  private readonly tensors: TensorStore;
  private readonly media: MediaStore;
  private readonly uploads: UploadStore;
  private readonly closing = new AbortController();
  private readonly inboxes: { close(): Promise<void> }[] = [];
  private applied = false;
  private settingUp: Promise<void> | undefined;
  private streamsThere = false;

  private constructor(private readonly connection: BusConnection) {
    this.publisher = new Publisher(connection, (signal) => this.restore(signal));
    this.cancellation = new Cancellation(connection);
    const parts = new PartStore(connection, this.publisher);
    this.tensors = new TensorStore(connection, parts);
    this.media = new MediaStore(connection, parts);
    this.uploads = new UploadStore(connection, this.publisher);
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

  /** The version of what travels on the bus. */
  get version(): string {
    return this.connection.subjects.version;
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
   * Queues a job. While the queue is full it waits up to `limits.queueWaitMs`; while NATS is away, until the deadline. The
   * tensor that it refers to is removed where the job is not taken and nobody will try again.
   * @throws TesseraError MESSAGE_TOO_LARGE, QUEUE_FULL (with retryAfterMs), DEADLINE_EXCEEDED, CANCELLED
   */
  async publish<Job extends JobMessage>(
    queue: DeclaredQueue<Job>,
    job: Job,
    options: DeliveryOptions,
  ): Promise<QueuedJob> {
    try {
      return await this.enqueue(queue, job, options);
    } catch (reason) {
      const reference = queue.tensor?.(job);
      if (reference !== undefined && endsForGood(reason)) await this.tensors.discard(reference);
      throw reason;
    }
  }

  private async enqueue<Job extends JobMessage>(
    queue: DeclaredQueue<Job>,
    job: Job,
    options: DeliveryOptions,
  ): Promise<QueuedJob> {
    const { subjects, trace } = this.connection;
    const { requestId, item, attempt } = requireKey(job.key);
    await this.cancellation.refuseCancelled(requestId);
    const stream = subjects.queue(queue);
    const subject = subjects.job(queue, { requestId, item, tile: queue.tile(job) });
    const message = {
      kind: queue.name,
      stream,
      subject,
      id: `${subject}/${attempt}`,
      attempt,
      deliverTo: options.deliverTo,
      payload: queue.message.encode(job).finish(),
    };
    const traced = { kind: queue.name, stream, requestId };
    const stored = await trace.send(traced, () => this.publisher.publish(message, options));
    return { stream, ...stored };
  }

  /** Takes a job back, if it is still in its queue. Never throws: what stays is thrown away by whoever pulls it. */
  async withdraw({ stream, sequence, epoch }: QueuedJob): Promise<void> {
    const { manager, log } = this.connection;
    if (!this.connection.isCurrent(epoch)) return;
    await manager.streams.deleteMessage(stream, sequence, false).catch((reason: unknown) => {
      if (!(reason instanceof JetStreamApiError)) log.debug({ error: messageOf(reason) }, 'a job was not withdrawn');
    });
  }

  /**
   * Whether a job waits or is in a worker's hands. What is neither queued nor sent is lost, or has failed.
   * @param at `tile` is the one that stands in the job's subject
   * @throws TesseraError STAGE_UNAVAILABLE when it cannot be found out
   */
  async isQueued(queue: DeclaredQueue, at: JobPlace): Promise<boolean> {
    const { subjects } = this.connection;
    return this.isThere(subjects.queue(queue), subjects.job(queue, at));
  }

  /**
   * Whether any job of a request waits in a queue or is in a worker's hands.
   * @throws TesseraError STAGE_UNAVAILABLE when it cannot be found out
   */
  async hasQueued(queue: DeclaredQueue, requestId: string): Promise<boolean> {
    const { subjects } = this.connection;
    return this.isThere(subjects.queue(queue), subjects.jobs(queue, requestId));
  }

  /**
   * Whether something of a tile's product is on its way to an address.
   * @throws TesseraError STAGE_UNAVAILABLE when it cannot be found out; REQUEST_INVALID when it is no address
   */
  async isSent(product: DeclaredProduct, at: JobPlace, address: string): Promise<boolean> {
    const { subjects } = this.connection;
    return this.isThere(subjects.shardOf(product, address), subjects.productFilter(product, address, at));
  }

  /**
   * Takes jobs of a queue into free slots until the signal aborts, then finishes the running ones and resolves.
   *
   * A handler that resolves has done the job. One that throws an error which is not retryable has the failure published
   * in the place of the job's product; a retryable one brings the job back after a while, at most
   * `limits.maxDeliveries` times in all. A job whose request was cancelled ends without a word; a job that is surely
   * late ends with DEADLINE_EXCEEDED. The job is kept alive while its handler works or waits; one that gives no sign of
   * progress for `limits.stallMs` is taken from it.
   */
  async work<Job extends JobMessage>(queue: DeclaredQueue<Job>, options: WorkOptions<Job>): Promise<void> {
    const doors = {
      fail: (key: JobKey, tile: number, error: TesseraError, to: DeliveryOptions) =>
        this.publishFailure(queue, key, tile, error, to),
      discard: (reference: TensorRef) => this.tensors.discard(reference),
      restore: () => this.restore(),
    };
    await new Worker(this.connection, this.cancellation, doors, queue, options).run();
  }

  /** Says that a job's product will not come, where the product is awaited. */
  async publishFailure(
    queue: DeclaredQueue,
    key: JobKey,
    tile: number,
    error: TesseraError,
    options: DeliveryOptions,
  ): Promise<void> {
    const { subjects } = this.connection;
    const { product } = queue;
    const { requestId, item, attempt } = key;
    const subject = subjects.product(product, options.deliverTo, { requestId, item, tile, part: failurePart });
    await this.publisher.publish(
      {
        kind: product.name,
        stream: subjects.shardOf(product, options.deliverTo),
        subject,
        id: `${subject}/${attempt}/${queue.name}`,
        attempt,
        payload: Failure.encode({
          key,
          code: error.code,
          message: outsideText(error.message, maxFailureBytes),
          stage: queue.worker,
        }).finish(),
      },
      { ...options, deadlineMs: Math.max(options.deadlineMs, Date.now() + failureLifeMs) },
    );
  }

  /**
   * Sends a product to the process that waits for it; waits while its stream is full. Of events, await each before the
   * next, so that their order is kept.
   * @throws TesseraError MESSAGE_TOO_LARGE, of a tensor over `limits.maxTensorBytes` or when one row exceeds a part;
   * DEADLINE_EXCEEDED, CANCELLED
   */
  async send<Content extends ProductContent>(
    product: DeclaredProduct<Content>,
    content: Content,
    options: DeliveryOptions,
  ): Promise<void> {
    const { subjects, limits } = this.connection;
    const { requestId, item, attempt } = requireKey(content.key);
    const { deliverTo } = options;
    await this.cancellation.refuseCancelled(requestId);
    const stream = subjects.shardOf(product, deliverTo);
    let inFlight: Promise<unknown>[] = [];
    for (const { tile, part, payload } of product.pieces(content, limits)) {
      const subject = subjects.product(product, deliverTo, { requestId, item, tile, part });
      const message = { kind: product.name, stream, subject, id: `${subject}/${attempt}`, attempt, payload };
      inFlight.push(this.publisher.publish(message, options));
      if (inFlight.length < piecesInFlight) continue;
      await Promise.all(inFlight);
      inFlight = [];
    }
    await Promise.all(inFlight);
  }

  /** Opens this process's inbox of a product. One for each process; it is closed with the bus. */
  openInbox(product: TensorProduct<ProductKind>): Promise<ProductInbox<ReceivedTensor>>;
  openInbox<Event extends ProductEvent>(product: EventProduct<Event, ProductKind>): Promise<ProductInbox<Event>>;
  async openInbox(
    product: TensorProduct<ProductKind> | EventProduct<ProductEvent, ProductKind>,
  ): Promise<ProductInbox<ReceivedTensor | ProductEvent>> {
    const assemblyOf =
      product.delivery === 'tensor'
        ? tensorAssemblies(this.connection, product.name)
        : eventAssemblies(this.connection, product);
    const inbox = await ProductInbox.open<ReceivedTensor | ProductEvent>(this.connection, product, assemblyOf, () =>
      this.restore(),
    );
    this.inboxes.push(inbox);
    return inbox;
  }

  /**
   * Removes another process's inbox and what lies there. Never throws. One that is not gone after all makes its inbox anew,
   * and asks for what it misses.
   */
  async removeInbox(product: DeclaredProduct, address: string): Promise<void> {
    await removeInbox(this.connection, product, address);
  }

  /**
   * A tensor as a job refers to it: inline up to `limits.partBytes`, else stored in parts, as float16.
   * @throws TesseraError MESSAGE_TOO_LARGE, DEADLINE_EXCEEDED, CANCELLED
   */
  async storeTensor(key: JobKey, tile: number, tensor: Float32Tensor, options: PublishOptions): Promise<TensorRef> {
    await this.cancellation.refuseCancelled(key.requestId);
    return this.tensors.store(key, tile, tensor, options);
  }

  /**
   * The tensor that a job refers to; call `taken` once what was made of it is sent.
   * @throws TesseraError TENSOR_INVALID; STAGE_UNAVAILABLE (retryable) when parts are not on the stream
   */
  async takeTensor(reference: TensorRef, signal: AbortSignal): Promise<TakenTensor> {
    return this.tensors.take(reference, signal);
  }

  /**
   * Keeps a media item for requests that will name it by its digest, whichever gateway they come to.
   * @returns until when it may be named, Unix ms
   * @throws TesseraError QUEUE_FULL when there is no room for it; DEADLINE_EXCEEDED, CANCELLED
   */
  async upload(upload: Upload, options: PublishOptions): Promise<number> {
    return this.uploads.put(upload, options);
  }

  /**
   * What was uploaded under a digest (hex); undefined when there is nothing (any more).
   * @throws TesseraError STAGE_UNAVAILABLE when it cannot be found out
   */
  async findUpload(digest: string, signal: AbortSignal): Promise<FoundUpload | undefined> {
    return this.uploads.find(digest, signal);
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

  /** Listens for a moment for engines of other revisions of the model or versions of the bus. */
  async hearForeignEngines(signal: AbortSignal): Promise<ForeignEngine[]> {
    return hearForeignEngines(this.connection, signal);
  }

  /** Announces a shard of a kind, until the signal aborts. */
  announceShard<Status extends ShardStatus>(
    kind: ShardKind<Status>,
    status: () => Known<Status>,
    signal: AbortSignal,
  ): Announcer {
    return announceShard(this.connection, kind, status, signal);
  }

  /** Tells which shards of a kind announce themselves, at each change, until the signal aborts. */
  watchShards<Status extends ShardStatus>(
    kind: ShardKind<Status>,
    onChange: (shards: readonly Known<Status>[]) => void,
    signal: AbortSignal,
  ): void {
    new ShardDirectory(this.connection, kind, onChange, signal);
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

  /**
   * The queues of this revision that no process takes jobs from; none while NATS is away, since then it is not known. It
   * costs one round trip, however many processes there are.
   */
  async unattendedQueues(): Promise<ReadonlySet<JobKind>> {
    this.attendance ??= new Attendance(this.connection);
    return this.attendance.missing();
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
