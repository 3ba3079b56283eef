import type { ExportOptions, Tracing } from './export-spans.js';
import { counterMetric } from './metric.js';
import type { Metrics } from './metrics.js';

// Here and not beside the exporter, which is loaded only where there is a collector.
const spansTotal = counterMetric('tessera_spans_total', {
  unit: 'count',
  help: 'Spans that were sent to the collector (exported) or lost because it did not take them (failed). Only where traces are exported.',
  labels: ['outcome'],
  from: 'every service',
});

interface TracingOptions extends Omit<ExportOptions, 'counter'> {
  readonly metrics: Metrics;
}

/** OpenTelemetry's own variables that mean something here; docs/traces.md is made from this. */
const tracingVariables: Readonly<Record<string, string>> = {
  OTEL_EXPORTER_OTLP_ENDPOINT:
    'Base URL of a collector that takes OTLP over HTTP as protobuf, such as `http://127.0.0.1:4318`. Spans go to `/v1/traces` under it. Nothing is exported, and no exporter loaded, unless this or the next is set.',
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'The whole URL for spans; goes before the base URL.',
  OTEL_EXPORTER_OTLP_HEADERS: 'Headers for the collector, `name=value` with commas between, such as credentials.',
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'The same, for spans only.',
  OTEL_EXPORTER_OTLP_TIMEOUT: 'Time that one export may take, in milliseconds.',
  OTEL_EXPORTER_OTLP_CERTIFICATE: "File with the certificate authority of the collector's TLS.",
  OTEL_SDK_DISABLED: '`true` turns everything off.',
  OTEL_TRACES_EXPORTER: '`none` turns the export off; `otlp`, the default, is the only other value.',
  OTEL_SERVICE_NAME: '`service.name` of the resource; by default `tessera-` and the service.',
  OTEL_RESOURCE_ATTRIBUTES: 'More attributes of the resource, `name=value` with commas between.',
  OTEL_TRACES_SAMPLER:
    '`parentbased_always_on` (the default), `parentbased_traceidratio`, `parentbased_always_off`, `always_on`, `always_off`, `traceidratio`. The gateway decides for a whole trace, unless its client did.',
  OTEL_TRACES_SAMPLER_ARG: 'The share of traces, 0 to 1, for the samplers with a ratio.',
  OTEL_BSP_MAX_QUEUE_SIZE: 'Spans that wait for an export at most; more are dropped, requests never wait.',
  OTEL_BSP_SCHEDULE_DELAY: 'Time between two exports, in milliseconds.',
};

/** Whether the environment names an endpoint and nothing turns the export off. */
function isWanted(env: TracingOptions['env']): boolean {
  const named = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT;
  const disabled = env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true';
  return Boolean(named?.trim()) && !disabled && env.OTEL_TRACES_EXPORTER?.trim() !== 'none';
}

/** Begins to export the spans of this process, once, if its environment says where to; else nothing is even loaded. */
export async function startTracing({ metrics, ...options }: TracingOptions): Promise<Tracing | undefined> {
  if (!isWanted(options.env)) return undefined;
  const { exportSpans } = await import('./export-spans.js');
  return exportSpans({ ...options, counter: metrics.counter(spansTotal) });
}

/** A Markdown table of the variables. */
export function tracingVariablesMarkdown(): string {
  const rows = Object.entries(tracingVariables).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`);
  return ['| Variable | Meaning |', '|---|---|', ...rows].join('\n');
}
