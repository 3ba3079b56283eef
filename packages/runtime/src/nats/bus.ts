import {
  type Blob,
  type EngineStatus,
  Failure,
  type Float32Tensor,
  failurePart,
  type JobKey,
  type JobKind,
  jobKinds,
  jobRoutes,
  type MediaEvent,
  type StreamPlan,
  streamPlan,
  type TensorRef,
  TesseraError,
} from '@tessera/protocol';
import { abortable } from '../abort.js';
import { BusConnection, messageOf } from './bus-connection.js';
import type { BusLimits, BusOptions } from './bus-options.js';
import { Cancellation } from './cancellation.js';
import { type Announcer, announceEngine, EngineDirectory } from './engine-directory.js';
import { type JobMessage, jobCodecs } from './job-codec.js';
import { MediaStore } from './media-store.js';
import { MediaStream } from './media-stream.js';
import { missingStreams } from './missing-streams.js';
import { Publisher, type PublishOptions } from './publisher.js';
import { applyStreamPlan } from './setup.js';
import {
  type PublishTensorOptions,
  type StageFailure,
  TensorStream,
  type TileTokens,
  type TokensOptions,
} from './tensor-stream.js';
import { Worker, type WorkOptions } from './worker.js';

export interface PublishJobOptions extends PublishOptions {
  /** The tile in the job's subject; by default the one that the job itself names. */
  readonly tile?: number;
}

export interface QueueDepth {
  readonly kind: JobKind;
  /** Jobs that wait. */
  readonly waiting: number;
  /** Jobs that workers hold. */
  readonly running: number;
}

/** A failure is worth telling for a while even when its request is late. */
const failureLifeMs = 5000;

/**
 * One process's door to NATS: queues of jobs, streams of what stages make, cancellation, and who is there.
 *
 * It reconnects for ever. The streams are in memory, so a restarted server has lost them: every bus makes them again
 * when it is connected again, and the gateway sends again what was on them.
 */
export class Bus {
  private readonly publisher: Publisher;
  private readonly cancellation: Cancellation;
  private readonly tensors: TensorStream;
  private readonly mediaEvents: MediaStream;
  private readonly blobs: MediaStore;
  private settingUp: Promise<void> | undefined;
  private streamsThere = false;

  private constructor(private readonly connection: BusConnection) {
    const restore = (signal?: AbortSignal) => this.restore(signal);
    this.publisher = new Publisher(connection, restore);
    this.cancellation = new Cancellation(connection);
    this.tensors = new TensorStream(connection, this.publisher, restore);
    this.mediaEvents = new MediaStream(connection, this.publisher, restore);
    this.blobs = new MediaStore(connection, restore);
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
   * Creates or updates the streams, buckets and this revision's durable consumers. Idempotent; any number of processes
   * may do it at once.
   * @throws TesseraError CONFIG_INVALID when something there cannot become what is wanted; STAGE_UNAVAILABLE
   */
  async setup(): Promise<void> {
    // One at a time: after a reconnect many parts of the bus find at once that streams are missing.
    this.settingUp ??= applyStreamPlan(this.connection, this.plan())
      .then(() => {
        this.streamsThere = true;
      })
      .finally(() => {
        this.settingUp = undefined;
      });
    await this.settingUp;
  }

  /**
   * Queues a job. While the queue is full it waits up to `limits.queueWaitMs`; while NATS is away, until the deadline.
   * @throws TesseraError MESSAGE_TOO_LARGE, QUEUE_FULL (with retryAfterMs), DEADLINE_EXCEEDED, CANCELLED
   */
  async publishJob<K extends JobKind>(kind: K, job: JobMessage<K>, options: PublishJobOptions): Promise<void> {
    const key = requireKey(job.key);
    await this.cancellation.refuseCancelled(key.requestId);
    const codec = jobCodecs[kind];
    const payload = codec.encode(job);
    await this.publisher.publish({ kind, key, tile: options.tile ?? codec.tile(job), part: 0, payload }, options);
  }

  /**
   * Takes jobs of a kind into free slots until the signal aborts, then finishes the running ones and resolves.
   *
   * A handler that resolves has done the job. One that throws an error which is not retryable has the failure published
   * in the place of the job's product; a retryable one brings the job back after a while, at most
   * `limits.maxDeliveries` times in all. A job whose request was cancelled ends without a word; a job that is surely
   * late ends with DEADLINE_EXCEEDED.
   */
  async work<K extends JobKind>(kind: K, options: WorkOptions<K>): Promise<void> {
    const worker = new Worker(
      this.connection,
      this.cancellation,
      (jobKind, key, tile, error, deadlineMs) => this.publishFailure(jobKind, key, tile, error, { deadlineMs }),
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
    options: PublishOptions,
  ): Promise<void> {
    const { stage, failureStream } = jobRoutes[kind];
    const payload = Failure.encode({ key, code: error.code, message: error.message.slice(0, 4096), stage }).finish();
    await this.publisher.publish(
      { kind: failureStream, key, tile, part: failurePart, idPart: kind, payload },
      { ...options, deadlineMs: Math.max(options.deadlineMs, Date.now() + failureLifeMs) },
    );
  }

  /**
   * Puts a tensor [rows, ...] on a stream, as float16 in parts of at most `limits.partBytes`.
   * @throws TesseraError MESSAGE_TOO_LARGE over `limits.maxTensorBytes`, or when one row exceeds a part
   */
  async publishTensor(
    stream: 'features' | 'tokens',
    key: JobKey,
    tile: number,
    tensor: Float32Tensor,
    options: PublishTensorOptions,
  ): Promise<void> {
    await this.cancellation.refuseCancelled(key.requestId);
    await this.tensors.publish(stream, key, tile, tensor, options);
  }

  /** A tile's features as a connect job carries them: inline up to `limits.partBytes`, else published in parts. */
  async featuresRef(key: JobKey, tile: number, tensor: Float32Tensor, options: PublishOptions): Promise<TensorRef> {
    await this.cancellation.refuseCancelled(key.requestId);
    return this.tensors.reference(key, tile, tensor, options);
  }

  /**
   * The features that a connect job refers to.
   * @throws TesseraError TENSOR_INVALID; STAGE_UNAVAILABLE (retryable) when parts are not on the stream
   */
  async readFeatures(key: JobKey, tile: number, reference: TensorRef, signal: AbortSignal): Promise<Float32Tensor> {
    return this.tensors.read(key, tile, reference, signal);
  }

  /**
   * A request's visual tokens, each tile once as soon as all its parts are there, and the failures of the stages that
   * make them. Begins with what was published before, so an engine that takes a request over gets everything. Ends
   * without an error when the signal aborts.
   */
  tokens(
    requestId: string,
    signal: AbortSignal,
    options?: TokensOptions,
  ): AsyncGenerator<TileTokens | StageFailure, void> {
    return this.tensors.tokens(requestId, signal, options);
  }

  /** Publishes one event of a drawing; await it before the next, so that their order is kept. */
  async publishMediaEvent(event: MediaEvent, options: PublishOptions): Promise<void> {
    await this.cancellation.refuseCancelled(requireKey(event.key).requestId);
    await this.mediaEvents.publish(event, options);
  }

  /** The events of a request's drawings, from the first, and failures. Ends without an error when the signal aborts. */
  media(requestId: string, signal: AbortSignal): AsyncGenerator<MediaEvent | StageFailure, void> {
    return this.mediaEvents.read(requestId, signal);
  }

  /**
   * Media as an encode job carries it: inline up to `limits.partBytes`, else in the object store.
   * @param digest SHA-256 of the bytes, hex
   * @throws TesseraError MEDIA_TOO_LARGE, QUEUE_FULL when the store is full, STAGE_UNAVAILABLE
   */
  async putMedia(bytes: Uint8Array, digest: string): Promise<Blob> {
    return this.blobs.put(bytes, digest);
  }

  /** The bytes, checked by size and digest. @throws TesseraError STAGE_UNAVAILABLE (retryable) when they are absent */
  async getMedia(blob: Blob, signal: AbortSignal): Promise<Uint8Array> {
    return this.blobs.get(blob, signal);
  }

  /** Ends a request everywhere: stops running work, keeps late work from starting, removes its messages. */
  async cancel(requestId: string): Promise<void> {
    await this.cancellation.cancel(requestId);
  }

  /** After a normal end: removes what is left of the request on the streams. */
  async finish(requestId: string): Promise<void> {
    await this.cancellation.removeProducts(requestId);
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
    const { manager, subjects, isOnline } = this.connection;
    if (!isOnline) return [];
    const depths = await Promise.allSettled(
      jobKinds.map(async (kind) => {
        const info = await manager.consumers.info(subjects.stream(kind), subjects.durable());
        return { kind, waiting: info.num_pending, running: info.num_ack_pending };
      }),
    );
    return depths.flatMap((depth) => (depth.status === 'fulfilled' ? [depth.value] : []));
  }

  /** Sends what is still to be sent and closes the connection. Whatever waits on this bus ends with DRAINING. */
  async close(): Promise<void> {
    await this.connection.close();
  }

  private plan(): StreamPlan {
    return streamPlan(this.connection.subjects, this.connection.limits);
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
