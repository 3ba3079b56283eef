export * from './describe-errors.js';
export type { CallFacts, TesseraCallContext } from './grpc/call-facts.js';
export { type CallerStreamOptions, callerStream } from './grpc/caller-stream.js';
export { type ClientOptions, createClient, type TesseraClient } from './grpc/create-client.js';
export type { Exchange, ExchangeListener } from './grpc/exchange.js';
export { type GrpcService, grpcService } from './grpc/grpc-service.js';
export { exchange, type ServedStream, type StreamListener } from './grpc/serve-exchange.js';
export { clientCredentials, type TlsOptions } from './grpc/tls-credentials.js';
export { type PauseOptions, withinPause } from './grpc/within-pause.js';
export { withHugePages } from './huge-pages.js';
export * from './service/run-service.js';
export * from './service/service.js';
export * from './service/start-service.js';
export * from './settings/common-settings.js';
export * from './settings/describe-settings.js';
export { loadSettings } from './settings/load-settings.js';
export * from './settings/request-settings.js';
export * from './settings/setting.js';
export { portTrouble, steadyPort } from './steady-port.js';
export * from './telemetry/describe-metrics.js';
export * from './telemetry/log.js';
export {
  type CounterMetric,
  counterMetric,
  declaredMetrics,
  type GaugeMetric,
  gaugeMetric,
  type HistogramMetric,
  histogramMetric,
} from './telemetry/metric.js';
export * from './telemetry/metrics.js';
export * from './telemetry/shared-metrics.js';
export { type SpanRow, spansMarkdown, spanTable } from './telemetry/span-table.js';
export { failSpan, inSpan, type Span, type SpanOptions, startSpan, within } from './telemetry/spans.js';
export { currentTraceparent, parseTraceparent, withTraceparent } from './telemetry/trace.js';
export { tracingVariablesMarkdown } from './telemetry/tracing.js';
export { hasUnknownFields, unknownFieldsTotal } from './unknown-fields.js';
