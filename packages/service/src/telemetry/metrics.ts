import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CounterMetric, GaugeMetric, HistogramMetric } from './metric.js';

/** The labels that a metric takes. (With `never` prom-client's types take any label; so none stands as one without a name.) */
type Labels<Label extends string> = [Label] extends [never] ? '' : Label;

/**
 * The metrics of one service. Each has a registry of its own, so several services can live in one process.
 * A metric comes into being when it is first asked for, so a service shows only what it measures.
 */
export class Metrics {
  readonly registry = new Registry();

  counter<Label extends string>(metric: CounterMetric<Label>): Counter<Labels<Label>> {
    const known = this.registry.getSingleMetric(metric.name) as Counter<Labels<Label>> | undefined;
    return known ?? new Counter(this.#configuration(metric));
  }

  gauge<Label extends string>(metric: GaugeMetric<Label>): Gauge<Labels<Label>> {
    const known = this.registry.getSingleMetric(metric.name) as Gauge<Labels<Label>> | undefined;
    return known ?? new Gauge(this.#configuration(metric));
  }

  /**
   * A gauge that is set when somebody looks, so that it is never old.
   * @param set may take a moment, for which whoever looks waits
   */
  gaugeAtScrape<Label extends string>(
    metric: GaugeMetric<Label>,
    set: (gauge: Gauge<Labels<Label>>) => void | Promise<void>,
  ): void {
    const gauge = this.gauge(metric) as Gauge<Labels<Label>> & { collect?: () => void | Promise<void> };
    // prom-client's own hook, which it only lets its constructor name.
    gauge.collect = () => set(gauge);
  }

  histogram<Label extends string>(metric: HistogramMetric<Label>): Histogram<Labels<Label>> {
    const known = this.registry.getSingleMetric(metric.name) as Histogram<Labels<Label>> | undefined;
    return known ?? new Histogram({ ...this.#configuration(metric), buckets: [...metric.buckets] });
  }

  /** Adds what Node itself knows (memory, CPU, event loop, garbage collection); once a process is enough. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.registry, prefix: 'tessera_' });
  }

  #configuration<Label extends string>({
    name,
    help,
    labels,
  }: {
    name: string;
    help: string;
    labels: readonly Label[];
  }) {
    return { name, help, labelNames: [...labels] as Labels<Label>[], registers: [this.registry] };
  }
}
