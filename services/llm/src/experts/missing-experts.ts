import type { ExpertCut } from '@tessera/bundle';
import type { ExpertPlace } from './expert-sessions.js';
import { ExpertSet, everyExpert } from './expert-set.js';
import type { Placement } from './placement.js';
import type { ShardLink } from './shard-link.js';

/** Experts of the placement in use that nobody holds at the moment. Structured-cloneable. */
export interface MissingExperts {
  readonly count: number;
  /** One of them. */
  readonly example: ExpertPlace | undefined;
}

/** `expert 3 of layer 0 and 5 others`. */
export function inWords({ count, example }: MissingExperts): string {
  if (example === undefined) return 'every expert';
  const first = `expert ${example.expert} of layer ${example.layer}`;
  return count === 1 ? first : `${first} and ${count - 1} others`;
}

/** The experts of a placement that nobody holds where it puts them: neither the engine nor any of these shards. */
export function* missingExperts(
  cut: ExpertCut,
  placement: Placement,
  shards: Iterable<ShardLink>,
): Generator<ExpertPlace> {
  // Whole sets at a time: there may be thousands of experts, and of shards.
  const byGroup = new Map<string, ExpertSet>();
  for (const { isReady, shard, held } of shards) {
    if (!isReady) continue;
    const ofGroup = byGroup.get(shard.group) ?? new ExpertSet(cut);
    byGroup.set(shard.group, ofGroup);
    ofGroup.addAll(held);
  }
  const there = new ExpertSet(cut);
  there.addAll(placement.engine);
  for (const [group, held] of byGroup) {
    const placed = placement.groups.get(group);
    if (placed !== undefined) there.addAll(held.and(placed));
  }
  for (const place of everyExpert(cut)) if (!there.has(place)) yield place;
}
