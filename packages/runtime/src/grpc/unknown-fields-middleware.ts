import type { ServerMiddleware } from 'nice-grpc-common';
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

/** Looks at every message of a call. */
export function unknownFieldsMiddleware(onUnknownFields: OnUnknownFields): ServerMiddleware {
  return async function* withUnknownFields(call, context) {
    const { path } = call.method;
    if (!call.requestStream) {
      onUnknownFields(call.request, path);
      return yield* call.next(call.request, context);
    }
    return yield* call.next(seen(call.request, path, onUnknownFields), context);
  };
}

async function* seen<Request>(
  requests: AsyncIterable<Request>,
  path: string,
  onUnknownFields: OnUnknownFields,
): AsyncGenerator<Request> {
  for await (const request of requests) {
    onUnknownFields(request, path);
    yield request;
  }
}
