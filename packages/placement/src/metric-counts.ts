import { TesseraError } from '@tessera/protocol';
import type { ModelExperts, RoutingCounts } from './model-experts.js';

/** The counter of rows that engines publish, by `layer` and `expert`. */
export const expertRowsMetric = 'tessera_expert_rows_total';

const sample = new RegExp(`^${expertRowsMetric}\\{([^}]*)\\} (\\S+)$`);

/**
 * How often an engine's router chose each expert since the engine began, by what its metrics say.
 * @param text in Prometheus' format; without such rows all counts are 0
 * @throws TesseraError CONFIG_INVALID where it counts a layer or an expert that the model does not have
 */
export function countsFromMetrics(text: string, { layers, perLayer }: ModelExperts): RoutingCounts {
  const counts = layers.map(() => new Array<number>(perLayer).fill(0));
  for (const line of text.split('\n')) {
    const [, labels = '', value] = sample.exec(line) ?? [];
    if (value === undefined) continue;
    const [layer, expert] = [numberOf(labels, 'layer'), numberOf(labels, 'expert')];
    const ofLayer = counts[layers.indexOf(layer)];
    if (ofLayer?.[expert] === undefined) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `it counts expert ${expert} of layer ${layer}, which the model does not have`,
      );
    }
    ofLayer[expert] += Number(value);
  }
  return counts;
}

/**
 * What was counted between two looks at one engine. One that was started again meanwhile counts from its beginning.
 */
export function countsBetween(earlier: RoutingCounts, later: RoutingCounts): RoutingCounts {
  return later.map((experts, layer) =>
    experts.map((rows, expert) => {
      const before = earlier[layer]?.[expert] ?? 0;
      return rows < before ? rows : rows - before;
    }),
  );
}

/** The counts of several engines together. There is one at least. */
export function sumCounts([first, ...others]: readonly RoutingCounts[]): RoutingCounts {
  if (first === undefined) throw new TesseraError('INTERNAL', 'there are no counts to be added');
  return others.reduce(
    (sum, counts) => sum.map((experts, layer) => experts.map((rows, expert) => rows + (counts[layer]?.[expert] ?? 0))),
    first,
  );
}

function numberOf(labels: string, name: string): number {
  return Number(new RegExp(`(?:^|,)${name}="(\\d+)"`).exec(labels)?.[1] ?? Number.NaN);
}
