import { TesseraError } from '@tessera/protocol';
import { type ServerMiddleware, Status } from 'nice-grpc-common';
import type { Logger } from '../telemetry/log.js';
import { withSpanContext } from '../telemetry/trace.js';
import type { CallFacts } from './call-facts.js';
import type { CallObserver } from './call-observer.js';
import type { CallRecord, CallRecords } from './call-records.js';
import { tellError } from './error-middleware.js';
import { HandlerDeadline } from './handler-deadline.js';
import { type OnUnknownFields, watched } from './watch-fields.js';

export interface CallFrameOptions {
  /** The service's name, for what callers are told. */
  readonly name: string;
  readonly log: Logger;
  readonly observer: CallObserver;
  readonly records: CallRecords;
  readonly drain: AbortSignal;
  readonly onUnknownFields: OnUnknownFields;
}

/**
 * All that stands between gRPC and a handler, as one layer, since each layer costs every message some turns of the
 * event loop's queue: counts and times the call, runs it inside the caller's trace, refuses it while the service drains,
 * looks for unknown fields, ends it at its deadline, and turns what the handler throws into a status with details.
 */
export function callFrame(options: CallFrameOptions): ServerMiddleware<CallFacts> {
  const { name, log, observer, records, drain, onUnknownFields } = options;
  return async function* framed(call, context) {
    const { path } = call.method;
    const record = records.of(context.metadata);
    const observed = observer.begin(path, context.metadata);
    using deadline = new HandlerDeadline(record?.deadlineMs ?? Date.now(), context.signal);
    let handler: AsyncGenerator<unknown, unknown, undefined> | undefined;
    try {
      if (drain.aborted) {
        throw new TesseraError('DRAINING', `this ${name} is shutting down; another replica will answer`);
      }
      const facts = { ...context, ...callFacts(path, log, record), signal: deadline.signal, deadlineMs: deadline.atMs };
      const request = watched(call, onUnknownFields);
      handler = withSpanContext(observed.trace, () => call.next(request as never, facts)) as typeof handler;
      for (;;) {
        // The body of an async generator runs in the context of whoever asks for its next value.
        const next = withSpanContext(observed.trace, () => (handler as AsyncGenerator).next());
        const result = await deadline.unlessPassed(next);
        if (result.done) {
          handler = undefined;
          observed.ended(Status.OK);
          return result.value as never;
        }
        yield result.value as never;
      }
    } catch (reason) {
      const error = withSpanContext(observed.trace, () => tellError(reason, { service: name, log, path, record }));
      observed.ended(error.code);
      throw error;
    } finally {
      // A caller that leaves a stream ends it by return(), past both `return` and `catch`.
      observed.ended(Status.CANCELLED);
      // Not awaited: a handler that is deaf to its signal holds nobody up.
      if (handler !== undefined) withSpanContext(observed.trace, () => handler?.return(undefined).catch(() => {}));
    }
  };
}

function callFacts(path: string, log: Logger, record: CallRecord | undefined) {
  return {
    log: log.child({ rpc: path.slice(1) }),
    arrival: record?.arrival,
    setRequestId: (requestId: string): void => {
      if (record !== undefined) record.requestId = requestId;
    },
  };
}
