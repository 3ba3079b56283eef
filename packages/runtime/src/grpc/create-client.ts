import { TesseraError } from '@tessera/protocol';
import { type Client, type CompatServiceDefinition, createChannel, createClientFactory } from 'nice-grpc';
import { ClientError, type ClientMiddleware, Metadata } from 'nice-grpc-common';
import { errorDetailsClientMiddleware } from 'nice-grpc-error-details';
import { remainingMs, signalWithDeadline } from '../deadline.js';
import { childOf, currentTraceparent, formatTraceparent, traceparentHeader } from '../telemetry/trace.js';
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
  const channel = createChannel(address, undefined, {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    // A stage that comes back is found soon, not after gRPC's default of up to two minutes.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 5_000,
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
    metadata.set(traceparentHeader, currentTraceparent() ?? formatTraceparent(childOf(undefined)));
    try {
      if (deadline.signal.aborted) throw deadline.signal.reason;
      return yield* call.next(call.request, { ...options, metadata, signal: deadline.signal });
    } catch (error) {
      if (deadline.signal.aborted) throw TesseraError.from(deadline.signal.reason);
      throw error instanceof ClientError ? fromClientError(error, address) : TesseraError.from(error);
    }
  };
}
