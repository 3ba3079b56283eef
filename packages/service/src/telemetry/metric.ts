/** What is said of a metric where it is declared. No label ever holds a request's id. */
interface MetricFacts<Label extends string> {
  readonly unit: 'seconds' | 'bytes' | 'ratio' | 'count' | 'info';
  readonly help: string;
  readonly labels?: readonly Label[];
  /** The services that have it, as docs/metrics.md names them. */
  readonly from: string;
}

/** A metric as its owner declares it: the name's units are base units, and counters end in `_total`. */
interface MetricDeclaration<Type extends string, Label extends string> extends Omit<MetricFacts<Label>, 'labels'> {
  readonly type: Type;
  readonly name: string;
  readonly labels: readonly Label[];
}

export type CounterMetric<Label extends string> = MetricDeclaration<'counter', Label>;
export type GaugeMetric<Label extends string> = MetricDeclaration<'gauge', Label>;
export interface HistogramMetric<Label extends string> extends MetricDeclaration<'histogram', Label> {
  /** Upper bounds. */
  readonly buckets: readonly number[];
}
export type Metric = CounterMetric<string> | GaugeMetric<string> | HistogramMetric<string>;

type MetricName = `tessera_${string}`;

/** From a millisecond to ten minutes, about three to a decade. */
const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** All that were declared by what is loaded of this process, in any order. */
const declared: Metric[] = [];

export function declaredMetrics(): readonly Metric[] {
  return declared;
}

export function counterMetric<const Label extends string = never>(
  name: `${MetricName}_total`,
  { labels = [], ...facts }: MetricFacts<Label>,
): CounterMetric<Label> {
  const metric = { type: 'counter', name, labels, ...facts } as const;
  declared.push(metric);
  return metric;
}

export function gaugeMetric<const Label extends string = never>(
  name: MetricName,
  { labels = [], ...facts }: MetricFacts<Label>,
): GaugeMetric<Label> {
  const metric = { type: 'gauge', name, labels, ...facts } as const;
  declared.push(metric);
  return metric;
}

/** @param buckets of seconds unless given */
export function histogramMetric<const Label extends string = never>(
  name: MetricName,
  { labels = [], buckets = secondsBuckets, ...facts }: MetricFacts<Label> & { readonly buckets?: readonly number[] },
): HistogramMetric<Label> {
  const metric = { type: 'histogram', name, labels, buckets, ...facts } as const;
  declared.push(metric);
  return metric;
}
