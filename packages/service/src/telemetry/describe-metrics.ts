import { declaredMetrics } from './metric.js';

/** A Markdown table of every metric that what is loaded declares, by name. */
export function metricsMarkdown(): string {
  const rows = declaredMetrics()
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map(
      ({ name, type, unit, labels, from, help }) =>
        `| \`${name}\` | ${type} | ${unit} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${from} | ${help} |`,
    );
  return ['| Metric | Type | Unit | Labels | From | Meaning |', '|---|---|---|---|---|---|', ...rows].join('\n');
}
