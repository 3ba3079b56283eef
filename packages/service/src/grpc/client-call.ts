import { type CallOpener, callOpener } from '@tessera/grpc';
import { Status } from 'nice-grpc-common';
import { failSpan, startSpan, within } from '../telemetry/spans.js';
import { currentTraceparent, traceparentHeader } from '../telemetry/trace.js';

/** Opens calls that have a span of their own and carry the trace on, and else are as `callOpener` has them. */
export function tracedCallOpener(address: string, defaultTimeoutMs: number): CallOpener {
  const open = callOpener(address, defaultTimeoutMs);
  return (path, options) => {
    const opened = open(path, options);
    const method = path.slice(1);
    const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': method, 'server.address': address };
    const span = startSpan(method, { kind: 'client', attributes });
    // A caller that leaves a stream ends it by return(), past both `return` and `catch`.
    let status: string = Status[Status.CANCELLED];
    // Outside of any request there is none to send: where the trace begins, and whether it is sampled, the server decides.
    const traceparent = within(span, currentTraceparent);
    return {
      signal: opened.signal,
      headers: [...opened.headers, ...(traceparent === undefined ? [] : [[traceparentHeader, traceparent] as const])],
      succeeded(): void {
        status = Status[Status.OK];
      },
      failed(reason) {
        const error = opened.failed(reason);
        status = error.row.grpc;
        failSpan(span, error);
        return error;
      },
      [Symbol.dispose](): void {
        opened[Symbol.dispose]();
        span.setAttribute('rpc.status_code', status);
        span.end();
      },
    };
  };
}
