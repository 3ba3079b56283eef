import { type MetricRow, metricTable } from './metric-table.js';

/** One line of docs/metrics.md. */
export type MetricDescription = MetricRow & { readonly name: string };

export function describeMetrics(): MetricDescription[] {
  return Object.entries(metricTable).map(([name, row]) => ({ name, ...row }));
}

/** A Markdown table of every metric. */
export function metricsMarkdown(): string {
  const rows = describeMetrics().map(
    (row) =>
      `| \`${row.name}\` | ${row.type} | ${row.unit} | ${row.labels.map((label) => `\`${label}\``).join(', ')} | ${row.from} | ${row.help} |`,
  );
  return ['| Metric | Type | Unit | Labels | From | Meaning |', '|---|---|---|---|---|---|', ...rows].join('\n');
}
