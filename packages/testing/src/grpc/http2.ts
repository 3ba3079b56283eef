import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import { type CallEnd, callEnd } from './call-end.js';

/** The headers of a gRPC call over HTTP/2. @param path such as /tessera.v1.ChatService/Chat */
export function callHeaders(path: string, headers: Readonly<Record<string, string>> = {}): OutgoingHttpHeaders {
  return {
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: path,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    [constants.HTTP2_HEADER_TE]: 'trailers',
    ...headers,
  };
}

/** A message as gRPC frames it: one byte that says "not compressed", four of length, the bytes. */
export function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

/** @param headers the trailers, or the headers of an answer that has nothing else */
export function readEnd(headers: IncomingHttpHeaders): CallEnd {
  const code = headers['grpc-status'];
  const details = headers['grpc-status-details-bin'];
  return callEnd(
    code === undefined ? undefined : Number(code),
    decodeURIComponent(String(headers['grpc-message'] ?? '')),
    details === undefined ? undefined : Buffer.from(String(details), 'base64'),
  );
}
