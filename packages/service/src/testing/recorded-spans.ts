import { trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';

export interface RecordedSpans extends Disposable {
  /** Those that have ended. */
  readonly spans: ReadableSpan[];
}

/** Records the spans of this process, as where they are exported, until it is disposed of. */
export function recordSpans(): RecordedSpans {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  return {
    get spans() {
      return exporter.getFinishedSpans();
    },
    [Symbol.dispose]: () => trace.disable(),
  };
}
