import type { Metrics } from '@tessera/service';

/** What metrics hold, by name and labels as they are scraped; of histograms the count and the sum alone. */
export async function countedBy(metrics: Metrics): Promise<Record<string, number>> {
  const lines = (await metrics.registry.metrics()).split('\n');
  const values = lines.filter((line) => line !== '' && !line.startsWith('#') && !/^\w+_bucket\{/.test(line));
  return Object.fromEntries(
    values.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}
