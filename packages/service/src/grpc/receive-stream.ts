import { type Client, type ClientReadableStream, Metadata, type ServiceError } from '@grpc/grpc-js';
import { type CallOpener, type CallTimes, decodeDetails, detailsHeader } from '@tessera/grpc';
import { ClientError } from 'nice-grpc-common';
import { RichClientError } from 'nice-grpc-error-details';

/** How the messages of a stream are taken. */
export interface ReceiveOptions<Response> extends CallTimes {
  readonly signal: AbortSignal;
  /** Given each message as it comes; what it returns is awaited before the next ones are read. */
  readonly onMessage: (message: Response) => Promise<void> | undefined;
}

/** A method that answers one request with a stream, as ts-proto describes it. */
export interface StreamingMethod<Request, Response> {
  readonly name: string;
  readonly requestType: { encode(message: Request): { finish(): Uint8Array } };
  readonly requestStream: false;
  readonly responseType: { decode(bytes: Uint8Array): Response };
  readonly responseStream: true;
}

/** What `receive` of a client is made of. @param service the full name */
export function receiver(client: Client, service: string, open: CallOpener) {
  return async <Request, Response>(
    { name, requestType, responseType }: StreamingMethod<Request, Response>,
    request: Request,
    { onMessage, ...options }: ReceiveOptions<Response>,
  ): Promise<void> => {
    const path = `/${service}/${name}`;
    using opened = open(path, options);
    try {
      if (opened.signal.aborted) throw opened.signal.reason;
      const metadata = new Metadata();
      for (const [key, value] of opened.headers) metadata.set(key, value);
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
export function richError(path: string, { code, details, metadata }: ServiceError): ClientError {
  const [bytes] = metadata?.get(detailsHeader) ?? [];
  if (!(bytes instanceof Uint8Array)) return new ClientError(path, code, details);
  return new RichClientError(path, code, details, decodeDetails(bytes));
}
