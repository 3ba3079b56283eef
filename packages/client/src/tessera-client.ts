import { TesseraError } from '@tessera/protocol';
import { Metadata } from 'nice-grpc-common';
import { Call } from './call.js';
import { chatEvents } from './chat-events.js';
import type { CallOptions, ChatRequest } from './chat-request.js';
import { ChatStream } from './chat-stream.js';
import type { ConnectOptions } from './connect-options.js';
import { Connections } from './connections.js';
import type { LocalMediaSource } from './conversation.js';
import { type RequestStream, uploadStream } from './encode-request.js';
import { loadMedia, mediaName } from './load-media.js';
import { limitsOf, type Model, type ModelDescription, modelOf } from './model.js';
import { RetryPolicy } from './retry-policy.js';

const defaultTimeoutMs = 120_000;

/** What a server keeps for later requests. */
export interface UploadedMedia {
  /** Names it: show it as `{ image: { digest } }`. */
  readonly digest: string;
  /** Its type, such as image/png. */
  readonly mimeType: string;
  /** How many bytes it has. */
  readonly bytes: number;
  /** Until when it may be named; another upload of the same bytes moves that on. */
  readonly expiresAt: Date;
}

/** A connection to a gateway. Get one from `connect`; `close` it, or declare it with `using`. */
export class TesseraClient implements Disposable {
  private readonly grpc: Connections;
  private readonly retry: RetryPolicy;
  private readonly closed = new AbortController();

  /** @internal */
  constructor(
    address: string,
    private readonly options: ConnectOptions,
  ) {
    this.retry = new RetryPolicy(options.retry);
    this.grpc = new Connections(address, options, defaultTimeoutMs);
  }

  /**
   * Asks for an answer. The call is made when its reading begins, and made again as `RetryOptions` says while nothing of
   * the answer has come.
   */
  chat(request: ChatRequest, options: CallOptions = {}): ChatStream {
    const open = () => this.open(options);
    const send = (messages: RequestStream, call: Call) => this.grpc.client.chat(messages, this.terms(call));
    return new ChatStream(chatEvents(request, open, send, this.options.fetch ?? {}));
  }

  /**
   * Says what a model can do and what the limits of a request are.
   * @param model its name; absent: the one that is served
   * @throws TesseraError MODEL_NOT_FOUND, or that the server cannot be reached
   */
  async describe(model = '', options: CallOptions = {}): Promise<ModelDescription> {
    using call = this.open(options);
    const description = await call.run(() => this.grpc.client.describe({ model }, this.terms(call)));
    if (description.model === undefined || description.limits === undefined) {
      throw new TesseraError('INTERNAL', 'the server describes no model');
    }
    return { model: modelOf(description.model), limits: limitsOf(description.limits) };
  }

  /**
   * The models that are served.
   * @throws TesseraError that the server cannot be reached
   */
  async listModels(options: CallOptions = {}): Promise<Model[]> {
    using call = this.open(options);
    const models: Model[] = [];
    let pageToken = '';
    do {
      const page = await call.run(() => this.grpc.client.listModels({ pageToken }, this.terms(call)));
      models.push(...page.models.map(modelOf));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return models;
  }

  /**
   * Sends a picture once, for any number of requests that then show it as `{ digest }`, until it expires.
   * @throws TesseraError what a request that shows it would be refused for, or that there is no room
   */
  async upload(source: LocalMediaSource, options: CallOptions = {}): Promise<UploadedMedia> {
    using call = this.open(options);
    const bytes = await loadMedia(source, this.options.fetch ?? {}, call.signal).catch((reason: unknown) => {
      throw call.errorOf(reason);
    });
    const name = mediaName(source, 'upload');
    const uploaded = await call.run(() => this.grpc.client.upload(uploadStream(name, bytes), this.terms(call)));
    const { digest, mimeType, expireTime } = uploaded;
    return { digest, mimeType, bytes: Number(uploaded.sizeBytes), expiresAt: expireTime ?? new Date() };
  }

  /** Ends the connection, and the calls that are under way. */
  close(): void {
    this.closed.abort(new TesseraError('CANCELLED', 'the client was closed'));
    this.grpc.close();
  }

  /** Closes. */
  [Symbol.dispose](): void {
    this.close();
  }

  private open(options: CallOptions): Call {
    return new Call(options, this.options.timeoutMs ?? defaultTimeoutMs, this.retry, this.closed.signal);
  }

  private terms({ signal, deadlineMs }: Call) {
    return { signal, deadlineMs, metadata: Metadata(this.options.metadata) };
  }
}
