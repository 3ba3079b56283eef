import { abortable } from '@tessera/flow';
import type { ServerMiddleware } from 'nice-grpc-common';

/** Ends streams that would never end by themselves, such as reflection's, when the drain begins. */
export function endAtDrain(drain: AbortSignal): ServerMiddleware {
  return async function* untilDrain(call, context) {
    const handler = call.next(call.request, context) as AsyncGenerator<never, never, undefined>;
    try {
      for (;;) {
        const result = await abortable(handler.next(), drain);
        if (result.done) return result.value;
        yield result.value;
      }
    } catch (reason) {
      if (!call.responseStream || reason !== drain.reason) throw reason;
      return undefined;
    } finally {
      // Not awaited: it may be waiting for a message that never comes.
      handler.return(undefined as never).catch(() => {});
    }
  };
}
