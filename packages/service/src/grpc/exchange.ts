import { type Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import { fromClientError } from '@tessera/grpc';
import { type EncodableType, MessageEncoder, TesseraError } from '@tessera/protocol';
import { richError } from './receive-stream.js';

/** A method by which both sides stream, as ts-proto describes it. */
export interface ExchangeMethod<Request, Response> {
  readonly name: string;
  readonly requestType: EncodableType<Request>;
  readonly requestStream: true;
  readonly responseType: { decode(bytes: Uint8Array): Response };
  readonly responseStream: true;
}

/** What comes in. */
export interface ExchangeListener<Response> {
  onMessage(message: Response): void;
  /** Called once, when nothing more comes; with the reason where that was not the end of the other side's words. */
  onEnd(error: TesseraError | undefined): void;
}

/** A stream that is kept open, for messages to and fro. */
export interface Exchange<Request> {
  send(message: Request): void;
  /** Nothing more is sent; what is under way may still be answered. */
  end(): void;
  /** Lets go of it at once. */
  cancel(): void;
}

/** What `exchange` of a client is made of. @param service the full name */
export function exchanger(client: Client, service: string, address: string) {
  return <Request, Response>(
    { name, requestType, responseType }: ExchangeMethod<Request, Response>,
    { onMessage, onEnd }: ExchangeListener<Response>,
  ): Exchange<Request> => {
    const path = `/${service}/${name}`;
    const encoder = new MessageEncoder(requestType);
    const call = client.makeBidiStreamRequest(
      path,
      (message: Request) => Buffer.from(encoder.encode(message).buffer),
      (bytes) => responseType.decode(bytes),
      new Metadata(),
    );
    let ended = false;
    const end = (error?: TesseraError): void => {
      if (ended) return;
      ended = true;
      onEnd(error);
    };
    call.on('data', (message: Response) => {
      if (!ended) onMessage(message);
    });
    call.on('error', (error: ServiceError) => end(fromClientError(richError(path, error), address)));
    call.on('end', () => end());
    return {
      send: (message) => {
        if (!ended) call.write(message);
      },
      end: () => call.end(),
      cancel: () => {
        end(new TesseraError('CANCELLED', `the stream to ${address} was cancelled`));
        call.cancel();
      },
    };
  };
}
