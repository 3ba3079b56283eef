import type { ChannelCredentials } from '@grpc/grpc-js';
import { TesseraError } from '@tessera/protocol';
import { type Client, type CompatServiceDefinition, createChannel, createClientFactory } from 'nice-grpc';
import { ClientError, type ClientMiddleware, Metadata, Status } from 'nice-grpc-common';
import { errorDetailsClientMiddleware } from 'nice-grpc-error-details';
import { remainingMs, signalWithDeadline } from '../deadline.js';
import { failSpan, startSpan, within } from '../telemetry/spans.js';
import { currentTraceparent, traceparentHeader } from '../telemetry/trace.js';
import { fromClientError } from './error-status.js';

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

/** A nice-grpc client whose errors are TesseraErrors. Close it when done with it. */
export type TesseraClient<Definition extends CompatServiceDefinition> = Client<Definition, CallTimes> & {
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
  const client = createClientFactory()
    .use(errorDetailsClientMiddleware)
    .use(tesseraMiddleware(address, options.defaultTimeoutMs ?? 60_000))
    .create(definition, channel);
  return Object.assign(client, { close: () => channel.close() }) as TesseraClient<Definition>;
}

function tesseraMiddleware(address: string, defaultTimeoutMs: number): ClientMiddleware<CallTimes> {
  return async function* tesseraCall(call, { deadlineMs, timeoutMs, ...options }) {
    const fallbackMs = deadlineMs === undefined ? defaultTimeoutMs : maxTimeoutMs;
    const atMs = Math.min(deadlineMs ?? Number.POSITIVE_INFINITY, Date.now() + (timeoutMs ?? fallbackMs));
    using deadline = signalWithDeadline(options.signal, atMs);
    const metadata = Metadata(options.metadata);
    const timeout = Math.min(Math.ceil(remainingMs(atMs)), maxTimeoutMs);
    metadata.set('grpc-timeout', `${timeout}m`);
    const method = call.method.path.slice(1);
    const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': method, 'server.address': address };
    const span = startSpan(method, { kind: 'client', attributes });
    // Outside of any request there is none to send: where the trace begins, and whether it is sampled, the server decides.
    const traceparent = within(span, currentTraceparent);
    if (traceparent !== undefined) metadata.set(traceparentHeader, traceparent);
    // A caller that leaves a stream ends it by return(), past both `return` and `catch`.
    let status: string = Status[Status.CANCELLED];
    try {
      if (deadline.signal.aborted) throw deadline.signal.reason;
      const response = yield* call.next(call.request, { ...options, metadata, signal: deadline.signal });
      status = Status[Status.OK];
      return response;
    } catch (reason) {
      const error = errorOf(reason, deadline.signal, address);
      status = error.row.grpc;
      failSpan(span, error);
      throw error;
    } finally {
      span.setAttribute('rpc.status_code', status);
      span.end();
    }
  };
}

/** What a failed call throws: the reason of its signal where that ended it. */
function errorOf(reason: unknown, signal: AbortSignal, address: string): TesseraError {
  if (signal.aborted) return TesseraError.from(signal.reason);
  return reason instanceof ClientError ? fromClientError(reason, address) : TesseraError.from(reason);
}
