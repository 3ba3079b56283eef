import type { ServerMiddleware } from 'nice-grpc-common';
import { refuseUnknownFields } from './unknown-fields.js';

/** Refuses requests, and parts of request streams, that carry fields the contract does not have. */
export const unknownFieldsMiddleware: ServerMiddleware = async function* withoutUnknownFields(call, context) {
  const name = `the request of ${call.method.path.slice(1)}`;
  if (!call.requestStream) {
    refuseUnknownFields(call.request, name);
    return yield* call.next(call.request, context);
  }
  return yield* call.next(checked(call.request, name), context);
};

async function* checked<Request>(requests: AsyncIterable<Request>, name: string): AsyncGenerator<Request> {
  for await (const request of requests) {
    refuseUnknownFields(request, name);
    yield request;
  }
}
