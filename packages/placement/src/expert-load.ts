import type { ModelExperts, Placement, PlacementNode, RoutingCounts } from './model-experts.js';

/**
 * A step goes through the layers one after the other, and in each waits for the slowest node. So what counts is how even
 * the nodes are within each layer, not over all of them: a node that is idle in one layer makes nothing good in another.
 */
export interface PlacementLoad {
  /** By node: its share of all rows, over all layers. */
  readonly shares: ReadonlyMap<string, number>;
  /**
   * How much longer the experts of a step take than if every node had as much to do as its speed allows: the sum over the
   * layers of the slowest node's time, over that of even ones, less 1.
   */
  readonly imbalance: number;
  /** The same for the layer in which it is worst. */
  readonly worstImbalance: number;
  /** By node: bytes of experts. */
  readonly bytes: ReadonlyMap<string, number>;
}

/** What a placement means. An expert's rows are shared by those that hold it according to their speed. */
export function loadsOf(
  placement: Placement,
  { model, nodes, counts }: { model: ModelExperts; nodes: readonly PlacementNode[]; counts: RoutingCounts },
): PlacementLoad {
  const speeds = nodes.reduce((sum, { speed }) => sum + speed, 0);
  const rows = new Map(nodes.map(({ name }) => [name, 0]));
  const bytes = new Map(nodes.map(({ name }) => [name, 0]));
  let slowest = 0;
  let even = 0;
  let worstImbalance = 0;
  for (const layer of model.layers.keys()) {
    const times = layerTimes(layer, placement, nodes, counts);
    const layerRows = (counts[layer] ?? []).reduce((sum, count) => sum + count, 0);
    const most = Math.max(...times);
    slowest += most;
    even += layerRows / speeds;
    if (layerRows > 0) worstImbalance = Math.max(worstImbalance, most / (layerRows / speeds) - 1);
    for (const [index, { name, speed }] of nodes.entries()) {
      rows.set(name, (rows.get(name) ?? 0) + (times[index] as number) * speed);
      const held = placement.get(name)?.[layer]?.length ?? 0;
      bytes.set(name, (bytes.get(name) ?? 0) + held * model.expertBytes);
    }
  }
  const total = [...rows.values()].reduce((sum, count) => sum + count, 0);
  const shares = new Map([...rows].map(([name, count]) => [name, total === 0 ? 0 : count / total]));
  return { shares, bytes, imbalance: even === 0 ? 0 : slowest / even - 1, worstImbalance };
}

/** By node: rows of the layer that it computes, over its speed. */
function layerTimes(
  layer: number,
  placement: Placement,
  nodes: readonly PlacementNode[],
  counts: RoutingCounts,
): number[] {
  const times = nodes.map(() => 0);
  for (const [expert, count] of (counts[layer] ?? []).entries()) {
    const holders = [...nodes.keys()].filter((index) =>
      placement.get((nodes[index] as PlacementNode).name)?.[layer]?.includes(expert),
    );
    const speed = holders.reduce((sum, index) => sum + (nodes[index] as PlacementNode).speed, 0);
    for (const index of holders) times[index] = (times[index] as number) + count / speed;
  }
  return times;
}
