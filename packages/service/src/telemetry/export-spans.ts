import { DiagLogLevel, diag, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  detectResources,
  envDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import { sleep } from '@tessera/flow';
import type { Counter } from 'prom-client';
import { version } from '../version.js';
import type { Logger } from './log.js';

// Loaded by tracing.ts alone, and only when there is an endpoint: nobody else pays for these libraries.

/** The exporter of a process's spans. */
export interface Tracing {
  /** Sends what is still to be sent, for at most so long. Never throws: traces are no reason for a drain to fail. */
  stop(withinMs: number): Promise<void>;
}

export interface ExportOptions {
  /** encoder, connector, llm, generator, gateway. */
  readonly service: string;
  readonly log: Logger;
  /** Counts spans by their outcome. */
  readonly counter: Counter<'outcome'>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The exporter's outcome for so many spans; the first of the result's codes is success. */
type OnExport = (outcome: 'exported' | 'failed', spans: number, error: Error | undefined) => void;

/** An exporter that tells how its exports end. */
class WatchedExporter implements SpanExporter {
  constructor(
    private readonly inner: SpanExporter,
    private readonly onExport: OnExport,
  ) {}

  export(...[spans, done]: Parameters<SpanExporter['export']>): void {
    this.inner.export(spans as ReadableSpan[], (result) => {
      this.onExport(result.code === 0 ? 'exported' : 'failed', spans.length, result.error);
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.inner.shutdown();
  }
}

/**
 * Makes the spans of this process go to the collector that the environment names. They wait in a bounded queue and leave
 * in batches; a collector that is away costs spans, never a request.
 */
export function exportSpans({ service, log, counter, env }: ExportOptions): Tracing {
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL;
  if (protocol && protocol !== 'http/protobuf') {
    log.warn({ protocol }, 'spans are sent as http/protobuf, whatever OTEL_EXPORTER_OTLP_PROTOCOL says');
  }
  // The library's own words, mainly the stack of each failed export; what they amount to is said once, below.
  const library = log.child({ library: 'opentelemetry' });
  const note = (message: string): void => library.debug(message);
  diag.setLogger({ error: note, warn: note, info: note, debug: note, verbose: note }, DiagLogLevel.WARN);

  for (const outcome of ['exported', 'failed'] as const) counter.inc({ outcome }, 0);
  let isFailing = false;
  const exporter = new WatchedExporter(new OTLPTraceExporter(), (outcome, spans, error) => {
    counter.inc({ outcome }, spans);
    if (outcome === 'failed' && !isFailing) {
      log.warn(
        { event: 'tracing', reason: error?.message },
        'spans cannot be exported; those that wait too long are lost',
      );
    } else if (outcome === 'exported' && isFailing) {
      log.info({ event: 'tracing' }, 'spans are exported again');
    }
    isFailing = outcome === 'failed';
  });
  const own = resourceFromAttributes({
    'service.name': `tessera-${service}`,
    'service.namespace': 'tessera',
    'service.version': version,
    'tessera.service': service,
  });
  const provider = new BasicTracerProvider({
    resource: own.merge(detectResources({ detectors: [serviceInstanceIdDetector, envDetector] })),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  trace.setGlobalTracerProvider(provider);
  return {
    async stop(withinMs) {
      const flushed = provider.shutdown().catch((reason: unknown) => library.debug(String(reason)));
      await Promise.race([flushed, sleep(withinMs)]);
    },
  };
}
