import { TesseraError } from '@tessera/protocol';
import type { ModelExperts, RoutingCounts } from './model-experts.js';

/** The counter of rows that engines publish, by `layer` and `expert`; it has no samples before the first row. */
export const expertRowsMetric = 'tessera_expert_rows_total';

/** When a process began, in Unix seconds. */
const startedMetric = 'tessera_process_start_time_seconds';

/** What an engine has counted since it began. */
export interface EngineCounts {
  readonly rows: RoutingCounts;
  /** When its process began, in Unix seconds; undefined where its metrics do not say. */
  readonly startedAt: number | undefined;
}

const started = new RegExp(`^${startedMetric} (\\S+)$`, 'm');
const sample = new RegExp(`^${expertRowsMetric}\\{([^}]*)\\} (\\S+)$`);

/**
 * How often an engine's router chose each expert since the engine began, by what its metrics say.
 * @param text in Prometheus' format; without such rows all counts are 0
 * @throws TesseraError CONFIG_INVALID where it counts a layer or an expert that the model does not have
 */
export function countsFromMetrics(text: string, { layers, perLayer }: ModelExperts): EngineCounts {
  const rows = layers.map(() => new Array<number>(perLayer).fill(0));
  for (const line of text.split('\n')) {
    const [, labels = '', value] = sample.exec(line) ?? [];
    if (value === undefined) continue;
    const [layer, expert] = [numberOf(labels, 'layer'), numberOf(labels, 'expert')];
    const ofLayer = rows[layers.indexOf(layer)];
    if (ofLayer?.[expert] === undefined) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `it counts expert ${expert} of layer ${layer}, which the model does not have`,
      );
    }
    ofLayer[expert] += Number(value);
  }
  const startedAt = started.exec(text)?.[1];
  return { rows, startedAt: startedAt === undefined ? undefined : Number(startedAt) };
}

/**
 * What was counted between two looks at one engine. Of one that was started again meanwhile it is all that it has counted
 * since: by its process's start, and where that is not told by any count that fell.
 */
export function countsBetween(earlier: EngineCounts, later: EngineCounts): RoutingCounts {
  const change = later.rows.map((experts, layer) =>
    experts.map((rows, expert) => rows - (earlier.rows[layer]?.[expert] ?? 0)),
  );
  const isAnew = earlier.startedAt !== later.startedAt || change.flat().some((rows) => rows < 0);
  return isAnew ? later.rows : change;
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
