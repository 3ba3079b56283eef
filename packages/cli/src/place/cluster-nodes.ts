import { bytesOf, checkNodes, type PlacementNode } from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';

/** How nodes of a cluster become what is planned for. */
export interface ClusterOptions {
  /** The share of a node's memory, or of its GPUs', that experts may take. */
  readonly memoryShare: number;
  /** Nodes with the same value of this label are one group, whose shards hold the same. */
  readonly groupLabel?: string;
  /** Memory of one GPU, where nodes do not say it by a label. */
  readonly gpuMemory?: string;
}

/** Shards of one group as the chart's `experts.groups` has them. */
export interface ShardGroup {
  readonly name: string;
  readonly replicas: number;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Taint[];
  /** Whether each shard has a GPU. */
  readonly gpu: boolean;
  /** Whether a node may have several shards: one for each of its GPUs. */
  readonly sharesNodes: boolean;
}

export interface ClusterNodes {
  readonly nodes: PlacementNode[];
  readonly groups: readonly ShardGroup[];
  /** Nodes that are not planned for, and why. */
  readonly leftOut: readonly { readonly name: string; readonly why: string }[];
}

const gpuResource = 'nvidia.com/gpu';
/** MiB of each GPU of a node, as NVIDIA's feature discovery writes it. */
const gpuMemoryLabel = 'nvidia.com/gpu.memory';
const hostLabel = 'kubernetes.io/hostname';

const taintSchema = z.object({ key: z.string(), value: z.string().optional(), effect: z.string() });
type Taint = { readonly key: string; readonly operator: string; readonly value?: string; readonly effect: string };

const nodeSchema = z.object({
  kind: z.literal('Node'),
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()).default({}) }),
  spec: z
    .object({ unschedulable: z.boolean().default(false), taints: z.array(taintSchema).default([]) })
    .default({ unschedulable: false, taints: [] }),
  status: z.object({
    allocatable: z.record(z.string(), z.union([z.string(), z.number()])),
    conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
  }),
});
type Node = z.infer<typeof nodeSchema>;

const listSchema = z.object({ kind: z.enum(['List', 'NodeList']), items: z.array(nodeSchema) });

/** Whether a text is what `kubectl get nodes -o json` writes, rather than nodes in other forms. */
export function isClusterNodes(text: string): boolean {
  return /^\s*\{/.test(text);
}

/**
 * The nodes of a cluster that shards can run on: each a group of its own, each GPU where there are any, since a process
 * computes on one; or all that are alike by a label one group.
 * @param text what `kubectl get nodes -o json` writes
 * @throws TesseraError CONFIG_INVALID
 */
export function readClusterNodes(text: string, options: ClusterOptions): ClusterNodes {
  const leftOut: { name: string; why: string }[] = [];
  const ready = nodesOf(text).filter((node) => {
    const why = whyNot(node);
    if (why !== undefined) leftOut.push({ name: node.metadata.name, why });
    return why === undefined;
  });
  const onGpus = ready.some((node) => gpusOf(node) > 0);
  const usable = ready.filter((node) => {
    if (!onGpus || gpusOf(node) > 0) return true;
    leftOut.push({ name: node.metadata.name, why: 'it has no GPU, and others have' });
    return false;
  });
  if (usable.length === 0) throw invalid('none of them can run a shard (not ready, cordoned, or of the control plane)');
  const places = usable.flatMap((node) => placesOf(node, onGpus, options));
  const { groupLabel } = options;
  const sharesNodes = places.length > usable.length;
  const { nodes, groups } = groupLabel === undefined ? eachAlone(places, usable) : groupedBy(groupLabel, places);
  return { nodes: checkNodes(nodes), groups: groups.map((group) => ({ ...group, sharesNodes })), leftOut };
}

interface PlannedGroups {
  readonly nodes: PlacementNode[];
  readonly groups: readonly Omit<ShardGroup, 'sharesNodes'>[];
}

/** Where one shard runs. */
interface Place {
  readonly node: Node;
  /** Of the node's GPUs. */
  readonly gpu: number | undefined;
  readonly memoryBytes: number;
}

function nodesOf(text: string): Node[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid('they are not JSON; say kubectl get nodes -o json', cause);
  }
  const parsed = z.union([listSchema, nodeSchema]).safeParse(value);
  if (!parsed.success) {
    throw invalid('they are not what kubectl get nodes -o json writes: no list of nodes with what they can allocate');
  }
  return 'items' in parsed.data ? parsed.data.items : [parsed.data];
}

function whyNot({ spec, status }: Node): string | undefined {
  if (spec.unschedulable) return 'it is cordoned';
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  if (ready !== undefined && ready.status !== 'True') return 'it is not ready';
  const ruling = spec.taints.find(({ key, effect }) => key.startsWith('node-role.kubernetes.io/') && isHard(effect));
  return ruling && `it is tainted ${ruling.key}`;
}

/** Whether a taint keeps pods away. */
function isHard(effect: string): boolean {
  return effect === 'NoSchedule' || effect === 'NoExecute';
}

function gpusOf({ status }: Node): number {
  return Number(status.allocatable[gpuResource] ?? 0);
}

function placesOf(node: Node, onGpus: boolean, { memoryShare, gpuMemory }: ClusterOptions): Place[] {
  if (!onGpus) {
    const { memory } = node.status.allocatable;
    if (memory === undefined) throw invalid(`${node.metadata.name} does not say its memory`);
    return [{ node, gpu: undefined, memoryBytes: Math.floor(bytesOf(memory) * memoryShare) }];
  }
  const said = node.metadata.labels[gpuMemoryLabel];
  const memory = gpuMemory ?? (said === undefined ? undefined : `${said}Mi`);
  if (memory === undefined) {
    throw invalid(`${node.metadata.name} has no label ${gpuMemoryLabel}; say the memory of a GPU with --gpu-memory`);
  }
  const memoryBytes = Math.floor(bytesOf(memory) * memoryShare);
  return Array.from({ length: gpusOf(node) }, (_, gpu) => ({ node, gpu, memoryBytes }));
}

function eachAlone(places: readonly Place[], nodes: readonly Node[]): PlannedGroups {
  const short = shortNames(nodes.map(({ metadata }) => metadata.name));
  const named = places.map((place) => {
    const host = short.get(place.node.metadata.name) as string;
    return { place, name: gpusOf(place.node) > 1 && place.gpu !== undefined ? `${host}-gpu${place.gpu}` : host };
  });
  return {
    nodes: named.map(({ place, name }) => ({ name, memoryBytes: place.memoryBytes, speed: 1 })),
    groups: named.map(({ place: { node, gpu }, name }) => ({
      name,
      replicas: 1,
      nodeSelector: { [hostLabel]: node.metadata.labels[hostLabel] ?? node.metadata.name },
      tolerations: tolerationsOf([node]),
      gpu: gpu !== undefined,
    })),
  };
}

/** Shards of a group hold the same: as much as the smallest place has room for, and as fast as they are together. */
function groupedBy(label: string, places: readonly Place[]): PlannedGroups {
  const byValue = new Map<string, Place[]>();
  for (const place of places) {
    const value = place.node.metadata.labels[label];
    if (value === undefined) throw invalid(`${place.node.metadata.name} has no label ${label} (--group-label)`);
    byValue.set(value, [...(byValue.get(value) ?? []), place]);
  }
  const grouped = [...byValue].map(([value, members]) => ({ value, members, name: groupName(value) }));
  return {
    nodes: grouped.map(({ name, members }) => ({
      name,
      memoryBytes: Math.min(...members.map(({ memoryBytes }) => memoryBytes)),
      speed: members.length,
    })),
    groups: grouped.map(({ value, name, members }) => ({
      name,
      replicas: members.length,
      nodeSelector: { [label]: value },
      tolerations: tolerationsOf(members.map(({ node }) => node)),
      gpu: members[0]?.gpu !== undefined,
    })),
  };
}

function tolerationsOf(nodes: readonly Node[]): Taint[] {
  const hard = nodes.flatMap(({ spec }) => spec.taints).filter(({ effect }) => isHard(effect));
  const tolerations = hard.map(({ key, value, effect }) =>
    value === undefined || value === ''
      ? { key, operator: 'Exists', effect }
      : { key, operator: 'Equal', value, effect },
  );
  return [...new Map(tolerations.map((each) => [JSON.stringify(each), each])).values()];
}

/** Host names without their domains, where that tells them apart. */
function shortNames(names: readonly string[]): Map<string, string> {
  const firsts = names.map((name) => name.split('.')[0] as string);
  const apart = new Set(firsts).size === names.length;
  return new Map(names.map((name, at) => [name, groupName(apart ? (firsts[at] as string) : name)]));
}

/** Group names are letters, digits, - and _; and end up in names of objects, which are in lower case. */
function groupName(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .slice(0, 48);
}

function invalid(why: string, cause?: unknown): TesseraError {
  return new TesseraError('CONFIG_INVALID', `the nodes are wrong: ${why}`, { cause });
}
