import { stringify } from 'yaml';
import type { ShardGroup } from './cluster-nodes.js';

/** Values of the llm chart that start a group's shards on the nodes that were planned for. */
export function groupValues(groups: readonly ShardGroup[]): string {
  const values = groups.map(({ name, replicas, nodeSelector, tolerations, gpu, sharesNodes }) => ({
    name,
    replicas,
    nodeSelector,
    ...(tolerations.length === 0 ? {} : { tolerations }),
    ...(sharesNodes ? { antiAffinity: 'none' } : {}),
    ...(gpu ? { gpu: { type: 'device', count: 1 } } : {}),
  }));
  return stringify({ experts: { groups: values } }, { lineWidth: 0 });
}
