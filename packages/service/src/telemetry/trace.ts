import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { isSpanContextValid, type SpanContext, TraceFlags, trace } from '@opentelemetry/api';

/**
 * W3C trace context, carried without an OpenTelemetry SDK: the API alone keeps no context between async calls, and a
 * request must stay one trace even where nobody exports spans. With an SDK, its active span goes first.
 */
const storage = new AsyncLocalStorage<SpanContext>();

const traceparentPattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** The name of the header in gRPC metadata and in NATS messages. */
export const traceparentHeader = 'traceparent';

/** The traceparent to send with a message, or undefined outside of any request. */
export function currentTraceparent(): string | undefined {
  const context = currentSpanContext();
  return context === undefined ? undefined : formatTraceparent(context);
}

/** 32 hex digits, for logs; undefined outside of any request. */
export function currentTraceId(): string | undefined {
  return currentSpanContext()?.traceId;
}

/**
 * Runs `fn`, and all that it awaits, in the sender's trace; a missing or bad traceparent begins a new one. The sender's span
 * stays the current one until there is a span of our own: what records nothing is nobody's parent.
 */
export function withTraceparent<T>(traceparent: string | undefined, fn: () => T): T {
  return withSpanContext(parseTraceparent(traceparent) ?? newTrace(), fn);
}

export function withSpanContext<T>(context: SpanContext, fn: () => T): T {
  return storage.run(context, fn);
}

/** The context of a trace that begins here. Not marked as sampled: nobody has recorded anything of it. */
export function newTrace(): SpanContext {
  return {
    traceId: randomBytes(16).toString('hex'),
    spanId: randomBytes(8).toString('hex'),
    traceFlags: TraceFlags.NONE,
  };
}

export function parseTraceparent(traceparent: string | undefined): SpanContext | undefined {
  const [, traceId, spanId, flags] = traceparentPattern.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(context) ? context : undefined;
}

function formatTraceparent(context: SpanContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.traceFlags.toString(16).padStart(2, '0')}`;
}

/** Of the span that what runs now belongs to; undefined outside of any request. */
export function currentSpanContext(): SpanContext | undefined {
  const active = trace.getActiveSpan()?.spanContext();
  return active !== undefined && isSpanContextValid(active) ? active : storage.getStore();
}
