import { stringify } from 'yaml';
import type { ShardGroup } from './cluster-nodes.js';

/** Whose values are written: of all of Tessera, which has those of the llm under its name, or of the llm alone. */
export const chartsOfValues = ['tessera', 'llm'] as const;

/** Values of a chart that start a group's shards on the nodes that were planned for. */
export function groupValues(groups: readonly ShardGroup[], chart: (typeof chartsOfValues)[number]): string {
  const values = groups.map(({ name, replicas, nodeSelector, tolerations, gpu, sharesNodes }) => ({
    name,
    replicas,
    nodeSelector,
    ...(tolerations.length === 0 ? {} : { tolerations }),
    ...(sharesNodes ? { antiAffinity: 'none' } : {}),
    ...(gpu ? { gpu: { type: 'device', count: 1 } } : {}),
  }));
  const experts = { experts: { groups: values } };
  return stringify(chart === 'llm' ? experts : { llm: experts }, { lineWidth: 0 });
}
