import {
  type ChannelCredentials,
  type ClientReadableStream,
  credentials as grpcCredentials,
  Client as RawClient,
  Metadata as RawMetadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { TesseraError } from '@tessera/protocol';
import { type Client, type CompatServiceDefinition, createChannel, createClientFactory } from 'nice-grpc';
import { ClientError, type ClientMiddleware, Metadata, Status } from 'nice-grpc-common';
import {
  type Any,
  BadRequest,
  type ErrorDetails,
  ErrorInfo,
  errorDetailsClientMiddleware,
  RequestInfo,
  RetryInfo,
  RichClientError,
} from 'nice-grpc-error-details';
import { Status as RichStatus } from 'nice-grpc-error-details/lib/proto/google/rpc/status.js';
import { remainingMs, signalWithDeadline } from '../deadline.js';
import { failSpan, startSpan, within } from '../telemetry/spans.js';
import { currentTraceparent, traceparentHeader } from '../telemetry/trace.js';
import { fromClientError } from './error-status.js';
import { fullName } from './grpc-service.js';

/** When a call must be over. The earlier one counts if both are given. */
export interface CallTimes {
  /** Unix ms; what a handler hands on from its own `context.deadlineMs`. */
  deadlineMs?: number;
  /** From now. */
  timeoutMs?: number;
}

export interface ClientOptions {
  /** For calls that say neither `deadlineMs` nor `timeoutMs`. 60 seconds if absent. */
  readonly defaultTimeoutMs?: number;
  /** Largest message taken or sent; 4 MiB if absent. */
  readonly maxMessageBytes?: number;
  /** From `clientCredentials`; no TLS if absent. */
  readonly credentials?: ChannelCredentials;
  /** The name in the server's certificate where it is not that of the address. */
  readonly serverName?: string;
}

/** How the messages of a stream are taken. */
interface ReceiveOptions<Response> extends CallTimes {
  readonly signal: AbortSignal;
  /** Given each message as it comes; what it returns is awaited before the next ones are read. */
  readonly onMessage: (message: Response) => Promise<void> | undefined;
}

/** A method that answers one request with a stream, as ts-proto describes it. */
interface StreamingMethod<Request, Response> {
  readonly name: string;
  readonly requestType: { encode(message: Request): { finish(): Uint8Array } };
  readonly requestStream: false;
  readonly responseType: { decode(bytes: Uint8Array): Response };
  readonly responseStream: true;
}

/** A nice-grpc client whose errors are TesseraErrors. Close it when done with it. */
export type TesseraClient<Definition extends CompatServiceDefinition> = Client<Definition, CallTimes> & {
  /**
   * Calls a method and hands its messages on; resolves at the end of the stream. For streams of many small messages: an
   * async iteration through the client's layers costs each of them more than to read it does.
   * @throws TesseraError
   */
  receive<Request, Response>(
    method: StreamingMethod<Request, Response>,
    request: Request,
    options: ReceiveOptions<Response>,
  ): Promise<void>;
  close(): void;
};

/** gRPC takes at most eight digits. */
const maxTimeoutMs = 99_999_999;

/**
 * A client of a Tessera service. Every call has a deadline, which the server learns; takes an AbortSignal; carries the
 * trace on; and throws the TesseraError that the service threw, or the nearest one for what gRPC reports.
 * @param address `host:port`, or any name that gRPC resolves
 */
export function createClient<Definition extends CompatServiceDefinition>(
  definition: Definition,
  address: string,
  options: ClientOptions = {},
): TesseraClient<Definition> {
  const maxMessageBytes = options.maxMessageBytes ?? 4 * 1024 * 1024;
  const { credentials, serverName } = options;
  const channel = createChannel(address, credentials, {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    // A stage that comes back is found soon, not after gRPC's default of up to two minutes.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 5_000,
    ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
  });
  const defaultTimeoutMs = options.defaultTimeoutMs ?? 60_000;
  const client = createClientFactory()
    .use(errorDetailsClientMiddleware)
    .use(tesseraMiddleware(address, defaultTimeoutMs))
    .create(definition, channel);
  const raw = new RawClient(address, credentials ?? grpcCredentials.createInsecure(), { channelOverride: channel });
  return Object.assign(client, {
    receive: receiver(raw, fullName({ definition }), address, defaultTimeoutMs),
    close: () => channel.close(),
  }) as TesseraClient<Definition>;
}

/** What each call begins with and ends with, however its messages are read. */
function openCall(
  path: string,
  address: string,
  defaultTimeoutMs: number,
  { deadlineMs, timeoutMs, signal }: CallTimes & { signal?: AbortSignal },
) {
  const fallbackMs = deadlineMs === undefined ? defaultTimeoutMs : maxTimeoutMs;
  const atMs = Math.min(deadlineMs ?? Number.POSITIVE_INFINITY, Date.now() + (timeoutMs ?? fallbackMs));
  const deadline = signalWithDeadline(signal, atMs);
  const method = path.slice(1);
  const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': method, 'server.address': address };
  const span = startSpan(method, { kind: 'client', attributes });
  // A caller that leaves a stream ends it by return(), past both `return` and `catch`.
  let status: string = Status[Status.CANCELLED];
  return {
    signal: deadline.signal,
    headers: {
      'grpc-timeout': `${Math.min(Math.ceil(remainingMs(atMs)), maxTimeoutMs)}m`,
      // Outside of any request there is none to send: where the trace begins, and whether it is sampled, the server decides.
      [traceparentHeader]: within(span, currentTraceparent),
    },
    succeeded(): void {
      status = Status[Status.OK];
    },
    /** @returns what the call throws */
    failed(reason: unknown): TesseraError {
      const error = errorOf(reason, deadline.signal, address);
      status = error.row.grpc;
      failSpan(span, error);
      return error;
    },
    [Symbol.dispose](): void {
      deadline[Symbol.dispose]();
      span.setAttribute('rpc.status_code', status);
      span.end();
    },
  };
}

function tesseraMiddleware(address: string, defaultTimeoutMs: number): ClientMiddleware<CallTimes> {
  return async function* tesseraCall(call, options) {
    using opened = openCall(call.method.path, address, defaultTimeoutMs, options);
    const metadata = Metadata(options.metadata);
    for (const [key, value] of Object.entries(opened.headers)) if (value !== undefined) metadata.set(key, value);
    try {
      if (opened.signal.aborted) throw opened.signal.reason;
      const { deadlineMs: _deadline, timeoutMs: _timeout, ...rest } = options;
      const response = yield* call.next(call.request, { ...rest, metadata, signal: opened.signal });
      opened.succeeded();
      return response;
    } catch (reason) {
      throw opened.failed(reason);
    }
  };
}

function receiver(client: RawClient, service: string, address: string, defaultTimeoutMs: number) {
  return async <Request, Response>(
    { name, requestType, responseType }: StreamingMethod<Request, Response>,
    request: Request,
    { onMessage, ...options }: ReceiveOptions<Response>,
  ): Promise<void> => {
    const path = `/${service}/${name}`;
    using opened = openCall(path, address, defaultTimeoutMs, options);
    try {
      if (opened.signal.aborted) throw opened.signal.reason;
      const metadata = new RawMetadata();
      for (const [key, value] of Object.entries(opened.headers)) if (value !== undefined) metadata.set(key, value);
      const call = client.makeServerStreamRequest(
        path,
        (message: Request) => Buffer.from(requestType.encode(message).finish()),
        (bytes) => responseType.decode(bytes),
        request,
        metadata,
      );
      await received(call, path, onMessage, opened.signal);
      opened.succeeded();
    } catch (reason) {
      throw opened.failed(reason);
    }
  };
}

function received<Response>(
  call: ClientReadableStream<Response>,
  path: string,
  onMessage: ReceiveOptions<Response>['onMessage'],
  signal: AbortSignal,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      call.cancel();
      settle(() => reject(signal.reason));
    };
    const settle = (end: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      end();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    call.on('data', (message: Response) => {
      if (signal.aborted) return;
      const wait = onMessage(message);
      if (wait === undefined) return;
      call.pause();
      void wait.finally(() => call.resume());
    });
    call.on('error', (error: ServiceError) => settle(() => reject(richError(path, error))));
    call.on('end', () => settle(resolve));
  });
}

/** gRPC's own error with the details that the service sent. */
function richError(path: string, { code, details, metadata }: ServiceError): ClientError {
  const [bytes] = metadata?.get('grpc-status-details-bin') ?? [];
  if (!(bytes instanceof Uint8Array)) return new ClientError(path, code, details);
  return new RichClientError(path, code, details, decodeDetails(RichStatus.decode(bytes).details));
}

const detailTypes = [ErrorInfo, RetryInfo, BadRequest, RequestInfo] as const;

function decodeDetails(details: readonly Any[]): ErrorDetails[] {
  return details.flatMap(({ typeUrl, value }): ErrorDetails[] => {
    const type = detailTypes.find(({ $type }) => typeUrl === `type.googleapis.com/${$type}`);
    return type === undefined ? [] : [type.decode(value)];
  });
}

/** What a failed call throws: the reason of its signal where that ended it. */
function errorOf(reason: unknown, signal: AbortSignal, address: string): TesseraError {
  if (signal.aborted) return TesseraError.from(signal.reason);
  return reason instanceof ClientError ? fromClientError(reason, address) : TesseraError.from(reason);
}
