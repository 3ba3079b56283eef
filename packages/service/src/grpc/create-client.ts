import { type ChannelCredentials, credentials as grpcCredentials, Client as RawClient } from '@grpc/grpc-js';
import { type Client, type CompatServiceDefinition, createChannel, createClientFactory } from 'nice-grpc';
import { type ClientMiddleware, Metadata } from 'nice-grpc-common';
import { errorDetailsClientMiddleware } from 'nice-grpc-error-details';
import { type CallTimes, openCall } from './client-call.js';
import { fullName } from './grpc-service.js';
import { type ReceiveOptions, receiver, type StreamingMethod } from './receive-stream.js';

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

function tesseraMiddleware(address: string, defaultTimeoutMs: number): ClientMiddleware<CallTimes> {
  return async function* tesseraCall(call, options) {
    using opened = openCall(call.method.path, address, defaultTimeoutMs, options);
    const metadata = Metadata(options.metadata);
    for (const [key, value] of opened.headers) metadata.set(key, value);
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
