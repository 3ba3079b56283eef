import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type LabelOf, type MetricName, type MetricNameOf, type MetricRow, metricTable } from './metric-table.js';

/**
 * The metrics of one service. Each has a registry of its own, so several services can live in one process.
 * A metric comes into being when it is first asked for, so a service shows only what it measures.
 */
export class Metrics {
  readonly registry = new Registry();

  counter<N extends MetricNameOf<'counter'>>(name: N): Counter<LabelOf<N>> {
    const known = this.registry.getSingleMetric(name) as Counter<LabelOf<N>> | undefined;
    return known ?? new Counter(this.#configuration<N>(name));
  }

  gauge<N extends MetricNameOf<'gauge'>>(name: N): Gauge<LabelOf<N>> {
    const known = this.registry.getSingleMetric(name) as Gauge<LabelOf<N>> | undefined;
    return known ?? new Gauge(this.#configuration<N>(name));
  }

  histogram<N extends MetricNameOf<'histogram'>>(name: N): Histogram<LabelOf<N>> {
    const known = this.registry.getSingleMetric(name) as Histogram<LabelOf<N>> | undefined;
    const row: MetricRow = metricTable[name];
    return known ?? new Histogram({ ...this.#configuration<N>(name), buckets: [...(row.buckets ?? [])] });
  }

  /** Adds what Node itself knows (memory, CPU, event loop, garbage collection); once a process is enough. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.registry, prefix: 'tessera_' });
  }

  #configuration<N extends MetricName>(name: N) {
    const row: MetricRow = metricTable[name];
    return { name, help: row.help, labelNames: [...row.labels] as LabelOf<N>[], registers: [this.registry] };
  }
}
