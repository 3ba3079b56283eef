import { credentials as grpcCredentials, Client as RawClient } from '@grpc/grpc-js';
import { type CallTimes, type ChannelSettings, createGrpcClient } from '@tessera/grpc';
import type { Client, CompatServiceDefinition } from 'nice-grpc';
import { tracedCallOpener } from './client-call.js';
import { type Exchange, type ExchangeListener, type ExchangeMethod, exchanger } from './exchange.js';
import { fullName } from './grpc-service.js';
import { type ReceiveOptions, receiver, type StreamingMethod } from './receive-stream.js';

export interface ClientOptions extends ChannelSettings {
  /** For calls that say neither `deadlineMs` nor `timeoutMs`. 60 seconds if absent. */
  readonly defaultTimeoutMs?: number;
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
  /**
   * Opens a stream for messages to and fro that is kept open: it has no deadline and is part of no trace. For many small
   * messages, each of which waits for nobody.
   */
  exchange<Request, Response>(
    method: ExchangeMethod<Request, Response>,
    listener: ExchangeListener<Response>,
  ): Exchange<Request>;
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
  { defaultTimeoutMs = 60_000, ...settings }: ClientOptions = {},
): TesseraClient<Definition> {
  const open = tracedCallOpener(address, defaultTimeoutMs);
  const { client, channel } = createGrpcClient(definition, address, settings, open);
  const credentials = settings.credentials ?? grpcCredentials.createInsecure();
  const raw = new RawClient(address, credentials, { channelOverride: channel });
  return Object.assign(client, {
    receive: receiver(raw, fullName({ definition }), open),
    exchange: exchanger(raw, fullName({ definition }), address),
    close: () => channel.close(),
  }) as TesseraClient<Definition>;
}
