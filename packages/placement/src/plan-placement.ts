import { TesseraError } from '@tessera/protocol';
import { LayerPlan } from './layer-plan.js';
import type { ModelExperts, Placement, PlacementNode, RoutingCounts } from './model-experts.js';
import { packLayer } from './pack-layer.js';

export interface PlanRequest {
  readonly model: ModelExperts;
  readonly nodes: readonly PlacementNode[];
  readonly counts: RoutingCounts;
  /** What is there now: what may stay stays. */
  readonly current?: Placement;
  /** How much longer than even a layer may take; a tenth by default. */
  readonly tolerance?: number;
}

/**
 * Every expert on some node, and every layer as even as it is to be, where the memory allows it. From a placement that is
 * there, layers that are even are left alone; others are mended by moves and copies, and dealt out anew only where that
 * does not do.
 * @throws TesseraError CONFIG_INVALID when the experts do not fit the nodes' memory, or the counts not the model
 */
export function planPlacement({ model, nodes, counts, current, tolerance = 0.1 }: PlanRequest): Placement {
  checkFits(model, nodes, counts);
  const experts = Array.from({ length: model.perLayer }, (_, expert) => expert);
  const free = nodes.map(({ memoryBytes }) => Math.floor(memoryBytes / model.expertBytes));
  const plans = model.layers.map((_, layer) => new LayerPlan(nodes, counts[layer] as number[], tolerance));
  keepCurrent();
  const wasEmpty = plans.map(isEmpty);
  const rest = [...plans.keys()].filter((layer) => wasEmpty[layer] || (plans[layer] as LayerPlan).excess > 0);
  // The most even ones first: what they do not need is left for those that need more.
  rest.sort((a, b) => peak(a) - peak(b));
  for (const [done, layer] of rest.entries()) {
    const plan = plans[layer] as LayerPlan;
    if (!wasEmpty[layer]) mend(plan);
    if (!wasEmpty[layer] && plan.excess === 0) continue;
    take(plan, -1);
    plans[layer] = new LayerPlan(nodes, counts[layer] as number[], tolerance);
    // As much as it must have, and its share of what nobody must: of each node the same part.
    const maxCopies = Math.ceil(spare() / (rest.length - done));
    const part = (model.perLayer + maxCopies) / freeInAll();
    const room = free.map((count) => Math.min(count, Math.ceil(count * part)));
    const packed = packLayer({ nodes, counts: counts[layer] as number[], tolerance, room, maxCopies });
    const better = !wasEmpty[layer] && plan.excess <= packed.excess ? plan : packed;
    plans[layer] = better;
    take(better, 1);
    if (better === packed) mend(packed);
  }
  return new Map(nodes.map(({ name }, node) => [name, plans.map((plan) => plan.heldBy(node))]));

  function isEmpty(plan: LayerPlan): boolean {
    return experts.every((expert) => plan.holdersOf(expert).size === 0);
  }

  /** What a plan holds takes memory (1), or gives it back (-1). */
  function take(plan: LayerPlan, sign: 1 | -1): void {
    for (const node of nodes.keys()) free[node] = (free[node] as number) - sign * plan.heldBy(node).length;
  }

  function put(plan: LayerPlan, expert: number, node: number): void {
    plan.add(expert, node);
    free[node] = (free[node] as number) - 1;
  }

  /** Places that are free and that no expert without one needs. */
  function spare(): number {
    const homeless = plans.flatMap((plan) => experts.filter((expert) => plan.holdersOf(expert).size === 0));
    return freeInAll() - homeless.length;
  }

  function freeInAll(): number {
    return free.reduce((sum, count) => sum + count, 0);
  }

  /** What is there and may stay: one holder of each expert first, then those whose node is gone, then copies. */
  function keepCurrent(): void {
    const there = plans.flatMap((plan, layer) =>
      nodes.flatMap(({ name }, node) =>
        (current?.get(name)?.[layer] ?? []).filter((e) => e < model.perLayer).map((expert) => ({ plan, expert, node })),
      ),
    );
    for (const { plan, expert, node } of there) {
      if (plan.holdersOf(expert).size === 0 && (free[node] as number) > 0) put(plan, expert, node);
    }
    for (const plan of plans.filter((each) => !isEmpty(each))) {
      for (const expert of experts.filter((each) => plan.holdersOf(each).size === 0)) {
        const [node] = [...nodes.keys()]
          .filter((each) => (free[each] as number) > 0)
          .sort((a, b) => plan.timeOf(a) - plan.timeOf(b));
        put(plan, expert, node as number);
      }
    }
    let left = spare();
    for (const { plan, expert, node } of there) {
      if (left <= 0 || plan.holdersOf(expert).has(node) || (free[node] as number) === 0) continue;
      put(plan, expert, node);
      left--;
    }
  }

  /** Makes a layer more even, change by change. */
  function mend(plan: LayerPlan): void {
    const hasRoom = (node: number): boolean => (free[node] as number) > 0;
    let left = spare();
    while (plan.excess > 0) {
      const change = plan.bestMove(hasRoom) ?? (left > 0 ? plan.bestCopy(hasRoom) : undefined);
      if (change === undefined) return;
      left -= change.adds.length - change.drops.length;
      plan.apply(change);
      for (const { node } of change.adds) free[node] = (free[node] as number) - 1;
      for (const { node } of change.drops) free[node] = (free[node] as number) + 1;
    }
  }

  /** The largest share of its rows that an expert of a layer has. */
  function peak(layer: number): number {
    const rows = counts[layer] as readonly number[];
    return Math.max(...rows) / (rows.reduce((sum, count) => sum + count, 0) || 1);
  }
}

function checkFits(model: ModelExperts, nodes: readonly PlacementNode[], counts: RoutingCounts): void {
  const invalid = (why: string): TesseraError => new TesseraError('CONFIG_INVALID', why);
  if (counts.length !== model.layers.length || counts.some((layer) => layer.length !== model.perLayer)) {
    const said = `${counts.length} layers of ${counts[0]?.length ?? 0} experts`;
    throw invalid(
      `the routing counts are of ${said}; the model has ${model.layers.length} layers of ${model.perLayer} experts`,
    );
  }
  const needed = model.layers.length * model.perLayer;
  const room = nodes.reduce((sum, { memoryBytes }) => sum + Math.floor(memoryBytes / model.expertBytes), 0);
  if (room < needed) {
    throw invalid(
      `the model has ${needed} experts of ${model.expertBytes} bytes, and the nodes have room for ${room}; ` +
        'give more nodes, or more memory',
    );
  }
}
