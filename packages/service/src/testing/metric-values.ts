import type { MetricValue } from 'prom-client';
import type { Metrics } from '../telemetry/metrics.js';

/** What a service's metric holds, by its name; of a histogram each `metricName` with its suffix. Nothing where it has none. */
export async function metricValues(
  metrics: Metrics,
  name: string,
): Promise<(MetricValue<string> & { metricName?: string })[]> {
  return (await metrics.registry.getSingleMetric(name)?.get())?.values ?? [];
}
