import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { TesseraError } from '@tessera/protocol';
import type { SpanRow } from './span-table.js';
import { currentSpanContext, withSpanContext } from './trace.js';

export type { Span } from '@opentelemetry/api';

export interface SpanOptions {
  /** `internal` if absent. */
  readonly kind?: SpanRow['kind'];
  readonly attributes?: Attributes;
  /** The span that it belongs to; by default the current one; null begins a trace. */
  readonly parent?: SpanContext | null;
  /** When it began, in Unix milliseconds; now if absent. */
  readonly startMs?: number;
}

const kinds: Readonly<Record<SpanRow['kind'], SpanKind>> = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
};

/**
 * Begins a span of `spanTable`. Where nobody exports spans it records nothing and costs next to nothing, so callers need
 * not ask. Whoever begins it ends it.
 */
export function startSpan(
  name: string,
  { kind = 'internal', attributes, parent = currentSpanContext(), startMs }: SpanOptions = {},
): Span {
  const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
  return trace.getTracer('tessera').startSpan(name, { kind: kinds[kind], attributes, startTime: startMs }, context);
}

/** Runs `work`, and all that it awaits, inside a span of its own; one that throws is marked as failed. */
export async function inSpan<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  const span = startSpan(name, options);
  try {
    return await within(span, () => work(span));
  } catch (reason) {
    failSpan(span, reason);
    throw reason;
  } finally {
    span.end();
  }
}

/** Runs `fn` with the span as the current one. One that is not recorded is nobody's parent: what was current stays so. */
export function within<T>(span: Span, fn: () => T): T {
  return span.isRecording() ? withSpanContext(span.spanContext(), fn) : fn();
}

/** Marks a span as failed, with the error's code; that somebody left is no failure. */
export function failSpan(span: Span, reason: unknown): void {
  if (!span.isRecording()) return;
  const { code, message } = TesseraError.from(reason);
  span.setAttribute('error.type', code);
  if (code !== 'CANCELLED') span.setStatus({ code: SpanStatusCode.ERROR, message });
}
