import type { ServerMiddlewareCall } from 'nice-grpc-common';
import { hasUnknownFields, refuseUnknownFields } from '../unknown-fields.js';

/** What is done about fields of a request, or of any part of a request stream, that the contract does not have. */
export type OnUnknownFields = (message: unknown, path: string) => void;

/** For callers who should hear of a typing error: the call ends with REQUEST_INVALID. */
export const refuse: OnUnknownFields = (message, path) =>
  refuseUnknownFields(message, `the request of ${path.slice(1)}`);

/** For services of a deployment, which may be of a newer release: a message with such fields is only counted. */
export function ignore(count: (path: string) => void): OnUnknownFields {
  return (message, path) => {
    if (hasUnknownFields(message)) count(path);
  };
}

/** A request, or a request stream, each message of which is looked at. */
export function watched(
  { method: { path }, request, requestStream }: ServerMiddlewareCall<unknown, unknown>,
  onUnknownFields: OnUnknownFields,
): unknown {
  if (!requestStream) {
    onUnknownFields(request, path);
    return request;
  }
  const messages = (request as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  const watching: AsyncIterableIterator<unknown> = {
    next: () =>
      messages.next().then((result) => {
        if (!result.done) onUnknownFields(result.value, path);
        return result;
      }),
    return: async () => (await messages.return?.()) ?? { done: true, value: undefined },
    [Symbol.asyncIterator]: () => watching,
  };
  return watching;
}
