import { TesseraError } from '@tessera/protocol';
import type { ServerMiddleware } from 'nice-grpc-common';
import { abortable } from '../abort.js';
import { signalWithDeadline } from '../deadline.js';
import type { CallFacts } from './call-facts.js';
import type { CallRecords } from './call-records.js';
import { drive } from './drive.js';

/**
 * A caller hangs up when its own timer fires, which is before ours does: by a network's transit, and by what a busy machine
 * took to see the call. One that leaves of its own will that shortly before its deadline is told nothing wrong.
 */
const transitMs = 500;

/**
 * Gives each call its deadline. When it passes, the handler's signal aborts and the call ends, even if the handler does
 * not heed its signal. When the caller leaves, the signal aborts and the handler's own end is awaited.
 */
export function deadlineMiddleware(records: CallRecords): ServerMiddleware<Pick<CallFacts, 'deadlineMs'>> {
  return async function* withDeadline(call, context) {
    // A call without a record was closed before its handler began.
    const deadlineMs = records.of(context.metadata)?.deadlineMs ?? Date.now();
    using deadline = signalWithDeadline(undefined, deadlineMs);
    const handler = new AbortController();
    const onDeadline = () => handler.abort(deadline.signal.reason);
    const onLeave = () =>
      handler.abort(
        Date.now() >= deadlineMs - transitMs
          ? new TesseraError('DEADLINE_EXCEEDED', 'the deadline passed before the answer was complete')
          : new TesseraError('CANCELLED', 'the caller went away'),
      );
    deadline.signal.addEventListener('abort', onDeadline, { once: true });
    context.signal.addEventListener('abort', onLeave, { once: true });
    if (context.signal.aborted) onLeave();
    if (deadline.signal.aborted) onDeadline();
    try {
      return yield* drive(call.next(call.request, { ...context, signal: handler.signal, deadlineMs }), (next) =>
        abortable(next(), deadline.signal),
      );
    } finally {
      deadline.signal.removeEventListener('abort', onDeadline);
      context.signal.removeEventListener('abort', onLeave);
    }
  };
}
