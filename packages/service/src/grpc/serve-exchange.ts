import { type Metadata as GrpcMetadata, Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { TesseraError } from '@tessera/protocol';
import { Metadata as CallMetadata, Status } from 'nice-grpc-common';
import type { Logger } from '../telemetry/log.js';
import { withSpanContext } from '../telemetry/trace.js';
import type { TesseraCallContext } from './call-facts.js';
import type { CallObserver, ObservedCall } from './call-observer.js';
import type { CallRecord, CallRecords } from './call-records.js';
import { statusOfServerError } from './complete-status.js';
import { tellError } from './error-middleware.js';
import type { OnUnknownFields } from './watch-fields.js';

/** The service's end of a stream for messages to and fro. */
export interface ServedStream<Response> {
  send(message: Response): void;
  /** Ends the stream behind what was sent; with an error where one is given. */
  end(error?: unknown): void;
}

/** What is done about a stream. What a function throws, or a promise rejects with, ends the stream with that error. */
export interface StreamListener<Request> {
  /** The next message comes when what this returns has resolved. */
  onMessage(message: Request): Promise<void> | undefined;
  /** The caller sends no more, but reads on. */
  onHalfClose(): void;
  /** Called once, however the stream has ended: nothing more is heard, and nothing more arrives. */
  onClose(): void;
}

/** Called for each stream that is opened. */
export type OpenStream<Request, Response> = (stream: ServedStream<Response>) => StreamListener<Request>;

type AnyOpenStream = OpenStream<unknown, unknown>;

const opens = new WeakMap<object, AnyOpenStream>();

/**
 * A handler for a method by which both sides stream, for `grpcService`, where streams are kept open for many small
 * messages: see `exchange` of TesseraClient. What stands between gRPC and other handlers costs each message more than a
 * short piece of work does; here a message is handed on as it comes. Counted, refused at a drain, told of errors, looked through
 * for unknown fields and let go when it stalls is such a stream as any other. It is part of no trace, and has no deadline
 * but its caller's.
 */
export function exchange<Request, Response>(open: OpenStream<Request, Response>) {
  const handler = (_: AsyncIterable<Request>, __: TesseraCallContext): AsyncGenerator<Response> => {
    throw new TesseraError('INTERNAL', 'a stream of messages to and fro came to the door of other calls');
  };
  opens.set(handler, open as AnyOpenStream);
  return handler;
}

/** What `exchange` made the handler of; undefined for other handlers. */
export function openStreamOf(handler: unknown): AnyOpenStream | undefined {
  return typeof handler === 'function' ? opens.get(handler) : undefined;
}

/** What was sent and is not yet on its way; from then on nothing more is read before some of it is. */
const mostUnsent = 16;

export interface ServedExchange {
  readonly open: AnyOpenStream;
  readonly onUnknownFields: OnUnknownFields;
}

export interface ServeExchangeOptions {
  /** The service's name, for what callers are told. */
  readonly name: string;
  readonly log: Logger;
  readonly observer: CallObserver;
  readonly records: CallRecords;
  readonly drain: AbortSignal;
  /** By the paths of the methods. */
  readonly exchanges: ReadonlyMap<string, ServedExchange>;
}

/** Takes the streams of exchanges, past all layers; other calls go on to their handlers. */
export function serveExchanges(options: ServeExchangeOptions): ServerInterceptor {
  return ({ path }, call) => {
    const served = options.exchanges.get(path);
    return served === undefined ? new ServerInterceptingCall(call) : new ExchangeCall(call, path, served, options);
  };
}

type Call = Parameters<ServerInterceptor>[1];

class ExchangeCall extends ServerInterceptingCall implements ServedStream<unknown> {
  readonly #path: string;
  readonly #served: ServedExchange;
  readonly #options: ServeExchangeOptions;
  #record: CallRecord | undefined;
  #observed: ObservedCall | undefined;
  #listener: StreamListener<unknown> | undefined;
  #unsent = 0;
  /** The message before is done with. */
  #wantsNext = false;
  #isOver = false;

  constructor(call: Call, path: string, served: ServedExchange, options: ServeExchangeOptions) {
    super(call);
    this.#path = path;
    this.#served = served;
    this.#options = options;
  }

  /** gRPC's own listener, which would make a Node stream of the call, is left out. */
  override start(): void {
    super.start({
      onReceiveMetadata: (metadata) => this.#open(metadata),
      onReceiveMessage: (message) => this.#hear(message),
      onReceiveHalfClose: () => this.#guarded(() => this.#listener?.onHalfClose()),
      onCancel: () => this.#close(Status.CANCELLED),
    });
  }

  send(message: unknown): void {
    if (this.#isOver) return;
    this.#unsent++;
    this.sendMessage(message, () => {
      this.#unsent--;
      this.#read();
    });
  }

  end(error?: unknown): void {
    if (this.#isOver) return;
    if (error === undefined) {
      this.sendStatus({ code: Status.OK, details: 'OK', metadata: new Metadata() });
      this.#close(Status.OK);
      return;
    }
    const { name: service, log } = this.#options;
    const tell = () => tellError(error, { service, log, path: this.#path, record: this.#record });
    const told = this.#observed === undefined ? tell() : withSpanContext(this.#observed.trace, tell);
    this.sendStatus(statusOfServerError(told));
    this.#close(told.code);
  }

  #open(grpcMetadata: GrpcMetadata): void {
    const { name, observer, records, drain } = this.#options;
    const metadata = CallMetadata(Object.entries(grpcMetadata.getMap()).map(([key, value]) => [key, String(value)]));
    this.#record = records.of(metadata);
    this.#observed = observer.begin(this.#path, metadata);
    this.#guarded(() => {
      if (drain.aborted) {
        throw new TesseraError('DRAINING', `this ${name} is shutting down; another replica will answer`);
      }
      this.#listener = this.#served.open(this);
      this.#wantsNext = true;
      this.#read();
    });
  }

  #hear(message: unknown): void {
    if (this.#isOver) return;
    this.#guarded(() => {
      this.#served.onUnknownFields(message, this.#path);
      const done = this.#listener?.onMessage(message);
      if (done === undefined) this.#next();
      else done.then(this.#next, this.#fail);
    });
  }

  readonly #next = (): void => {
    this.#wantsNext = true;
    this.#read();
  };

  readonly #fail = (reason: unknown): void => this.end(reason ?? new TesseraError('INTERNAL', 'no reason is given'));

  #read(): void {
    if (this.#isOver || !this.#wantsNext || this.#unsent >= mostUnsent) return;
    this.#wantsNext = false;
    this.startRead();
  }

  #guarded(run: () => void): void {
    try {
      run();
    } catch (reason) {
      this.#fail(reason);
    }
  }

  #close(status: Status): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#observed?.ended(status);
    this.#listener?.onClose();
  }
}
