export * from './abort.js';
export * from './deadline.js';
export * from './describe-errors.js';
export type { CallFacts, TesseraCallContext } from './grpc/call-facts.js';
export { type CallTimes, type ClientOptions, createClient, type TesseraClient } from './grpc/create-client.js';
export { drive } from './grpc/drive.js';
export { fromClientError, toServerError } from './grpc/error-status.js';
export { type GrpcService, grpcService } from './grpc/grpc-service.js';
export { refuseUnknownFields } from './grpc/unknown-fields.js';
export * from './nats/index.js';
export * from './service/run-service.js';
export * from './service/service.js';
export * from './service/start-service.js';
export * from './settings/common-settings.js';
export * from './settings/describe-settings.js';
export { loadSettings, settingsFrom } from './settings/load-settings.js';
export * from './settings/setting.js';
export { Admission } from './stage/admission.js';
export { Budget } from './stage/budget.js';
export { connectBus } from './stage/connect-bus.js';
export { mapOrdered } from './stage/map-ordered.js';
export { StageMeter } from './stage/stage-meter.js';
export { batchWaitSetting, computeSettings, stageSettings } from './stage/stage-settings.js';
export { type Stage, type StageOptions, startStage } from './stage/start-stage.js';
export { untilAborted } from './stage/until-aborted.js';
export * from './telemetry/describe-metrics.js';
export * from './telemetry/log.js';
export * from './telemetry/metric-table.js';
export * from './telemetry/metrics.js';
export { type SpanRow, spansMarkdown, spanTable } from './telemetry/span-table.js';
export { failSpan, inSpan, type Span, type SpanOptions, startSpan, within } from './telemetry/spans.js';
export {
  currentTraceId,
  currentTraceparent,
  parseTraceparent,
  traceparentHeader,
  withTraceparent,
} from './telemetry/trace.js';
export { tracingVariables, tracingVariablesMarkdown } from './telemetry/tracing.js';
