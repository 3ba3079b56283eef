import { stringify } from 'yaml';
import type { ShardGroup } from './cluster-nodes.js';

/** Whose values are written: of all of Tessera, which has those of the llm under its name, or of the llm alone. */
export const chartsOfValues = ['tessera', 'llm'] as const;

/** Sizes are rounded up to it: another plan that moves a few experts changes no pod, and so restarts none. */
const stepBytes = 2 ** 28;
/** What a shard needs beside its experts. */
const processBytes = 5e8;

/**
 * Values of a chart that start a group's shards on the nodes that were planned for, each with the memory for its experts.
 * @param bytes of the experts of each group
 */
export function groupValues(
  groups: readonly ShardGroup[],
  bytes: ReadonlyMap<string, number>,
  chart: (typeof chartsOfValues)[number],
): string {
  const values = groups.map(({ name, replicas, nodeSelector, tolerations, gpu, sharesNodes }) => {
    const held = bytes.get(name) ?? 0;
    return {
      name,
      replicas,
      nodeSelector,
      ...(tolerations.length === 0 ? {} : { tolerations }),
      ...(sharesNodes ? { antiAffinity: 'none' } : {}),
      ...(gpu ? { gpu: { type: 'device', count: 1 } } : { resources: memoryFor(held) }),
      // Not the whole llm's, which the chart takes otherwise: how long a shard loads, and what it must have room for.
      model: { sizeBytes: steps(held) * stepBytes },
    };
  });
  const experts = { experts: { groups: values } };
  return stringify(chart === 'llm' ? experts : { llm: experts }, { lineWidth: 0 });
}

/** Of a shard that computes on CPUs. While it takes a later placement up it holds what it had, too. */
function memoryFor(held: number) {
  const mebibytes = (bytes: number): string => `${(steps(bytes) * stepBytes) / 2 ** 20}Mi`;
  const whole = steps(held) * stepBytes;
  return {
    requests: { memory: mebibytes(whole + processBytes) },
    limits: { memory: mebibytes(2 * whole + processBytes) },
  };
}

function steps(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / stepBytes));
}
