import { LayerPlan } from './layer-plan.js';
import type { PlacementNode } from './model-experts.js';

export interface LayerProblem {
  readonly nodes: readonly PlacementNode[];
  readonly counts: readonly number[];
  readonly tolerance: number;
  /** How many experts of the layer each node may hold. Together at least as many as there are. */
  readonly room: readonly number[];
  /** The most copies beside the first ones. */
  readonly maxCopies: number;
}

/**
 * A layer from nothing: with as few copies as make it even, each expert with more copies having fewer rows for each of
 * them, and all of them dealt out the largest first, to where there is the least to do. (The order of EPLB, DeepSeek's
 * balancer: first how many copies, then where.)
 */
export function packLayer(problem: LayerProblem): LayerPlan {
  const { nodes, counts, room } = problem;
  const copies = counts.map(() => 1);
  let spare = Math.min(problem.maxCopies, room.reduce((sum, count) => sum + count, 0) - counts.length);
  let best: LayerPlan | undefined;
  for (;;) {
    const plan = deal(problem, copies);
    if (plan !== undefined && (best === undefined || plan.excess < best.excess)) best = plan;
    if (best?.excess === 0 || spare-- <= 0) break;
    const next = heaviest(counts, copies, nodes.length);
    if (next === undefined) break;
    copies[next] = (copies[next] as number) + 1;
  }
  if (best === undefined) throw new Error('a layer does not fit the room that was left for it');
  return best;
}

/** The expert whose copies have the most rows each; every node can hold one at most. */
function heaviest(counts: readonly number[], copies: readonly number[], most: number): number | undefined {
  let found: number | undefined;
  let rows = 0;
  for (const [expert, count] of counts.entries()) {
    const each = count / (copies[expert] as number);
    if ((copies[expert] as number) < most && each > rows) [found, rows] = [expert, each];
  }
  return found;
}

/** @returns undefined where an expert finds no node with room */
function deal({ nodes, counts, tolerance, room }: LayerProblem, copies: readonly number[]): LayerPlan | undefined {
  const plan = new LayerPlan(nodes, counts, tolerance);
  const left = [...room];
  const order = [...counts.keys()].sort((a, b) => rowsEach(b) - rowsEach(a) || a - b);
  // All first copies have a place before any second one takes it.
  let firsts = counts.length;
  for (const expert of order) {
    for (let copy = 0; copy < (copies[expert] as number); copy++) {
      const free = left.reduce((sum, count) => sum + count, 0);
      if (copy > 0 && free <= firsts) break;
      const node = best(expert, copy);
      if (node === undefined) {
        if (copy === 0) return undefined;
        break;
      }
      plan.add(expert, node);
      left[node] = (left[node] as number) - 1;
      if (copy === 0) firsts--;
    }
  }
  return plan;

  function rowsEach(expert: number): number {
    return (counts[expert] as number) / (copies[expert] as number);
  }

  /** Where it would be over the soonest; of those alike, where there is the most room. */
  function best(expert: number, copy: number): number | undefined {
    let found: number | undefined;
    let foundTime = Number.POSITIVE_INFINITY;
    for (const node of nodes.keys()) {
      if ((left[node] as number) === 0 || plan.holdersOf(expert).has(node)) continue;
      const time = plan.timeOf(node) + (counts[expert] as number) / (copy + 1) / (nodes[node] as PlacementNode).speed;
      const isBetter =
        time < foundTime || (time === foundTime && (left[node] as number) > (left[found as number] ?? 0));
      if (isBetter) [found, foundTime] = [node, time];
    }
    return found;
  }
}
