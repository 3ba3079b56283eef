import type { ChannelCredentials } from '@grpc/grpc-js';
import { type Channel, type Client, type CompatServiceDefinition, createChannel, createClientFactory } from 'nice-grpc';
import { type ClientMiddleware, Metadata } from 'nice-grpc-common';
import { errorDetailsClientMiddleware } from 'nice-grpc-error-details';
import type { CallOpener, CallTimes } from './open-call.js';

export interface ChannelSettings {
  /** Largest message taken or sent; 4 MiB if absent. */
  readonly maxMessageBytes?: number;
  /** No TLS if absent. */
  readonly credentials?: ChannelCredentials;
  /** The name in the server's certificate where it is not that of the address. */
  readonly serverName?: string;
  /** Whether it has a connection of its own; else all channels of this process to an address share one. */
  readonly apart?: boolean;
}

/** A client and the channel that its calls go over, which whoever made it closes. */
export interface GrpcClient<Definition extends CompatServiceDefinition> {
  readonly client: Client<Definition, CallTimes>;
  readonly channel: Channel;
}

/**
 * A nice-grpc client of a Tessera service. Each call takes an AbortSignal and throws TesseraErrors.
 * @param address `host:port`, or any name that gRPC resolves
 * @param open what each call begins and ends with
 */
export function createGrpcClient<Definition extends CompatServiceDefinition>(
  definition: Definition,
  address: string,
  { maxMessageBytes = 4 * 1024 * 1024, credentials, serverName, apart = false }: ChannelSettings,
  open: CallOpener,
): GrpcClient<Definition> {
  const channel = createChannel(address, credentials, {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    // A service that comes back is found soon, not after gRPC's default of up to two minutes.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 5_000,
    'grpc.use_local_subchannel_pool': apart ? 1 : 0,
    ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
  });
  const client = createClientFactory().use(errorDetailsClientMiddleware).use(opening(open)).create(definition, channel);
  return { client: client as Client<Definition, CallTimes>, channel };
}

function opening(open: CallOpener): ClientMiddleware<CallTimes> {
  return async function* tesseraCall(call, options) {
    using opened = open(call.method.path, options);
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
