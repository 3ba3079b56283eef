import { setImmediate as turn } from 'node:timers/promises';
import type { ServerMiddleware } from 'nice-grpc-common';

/**
 * Tells the end of a request stream from a caller that left: HTTP/2 ends the stream of one who leaves, too, and says why
 * only a moment later. Without this a handler would take what came so far for all that was to come.
 */
export const requestEndMiddleware: ServerMiddleware = async function* withRequestEnd(call, context) {
  if (!call.requestStream) return yield* call.next(call.request, context);
  return yield* call.next(untilTheEnd(call.request, context.signal), context);
};

async function* untilTheEnd<Request>(requests: AsyncIterable<Request>, signal: AbortSignal): AsyncGenerator<Request> {
  yield* requests;
  await turn();
  signal.throwIfAborted();
}
