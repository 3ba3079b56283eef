import type { ModelExperts, Placement } from './model-experts.js';

/** What changes on one node. */
export interface NodeDiff {
  readonly node: string;
  readonly adds: readonly { readonly layer: number; readonly expert: number }[];
  readonly drops: readonly { readonly layer: number; readonly expert: number }[];
  /** Bytes that the node loads. */
  readonly loadBytes: number;
}

/** What changes from one placement to another, by node; nodes of which nothing changes are left out. */
export function diffPlacements(before: Placement, after: Placement, model: ModelExperts): NodeDiff[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((node) => {
    const missing = (from: Placement, to: Placement) =>
      model.layers.flatMap((layer, at) => {
        const there = new Set(to.get(node)?.[at] ?? []);
        return (from.get(node)?.[at] ?? []).filter((expert) => !there.has(expert)).map((expert) => ({ layer, expert }));
      });
    const adds = missing(after, before);
    const drops = missing(before, after);
    if (adds.length === 0 && drops.length === 0) return [];
    return [{ node, adds, drops, loadBytes: adds.length * model.expertBytes }];
  });
}
