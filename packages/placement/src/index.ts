export { checkPlaces } from './check-places.js';
export { diffPlacements, type NodeDiff } from './diff-placements.js';
export { loadsOf, type PlacementLoad } from './expert-load.js';
export { countsBetween, countsFromMetrics, type EngineCounts, expertRowsMetric, sumCounts } from './metric-counts.js';
export type { ModelExperts, Placement, PlacementNode, RoutingCounts } from './model-experts.js';
export { bytesOf, checkNodes, readNodes } from './nodes.js';
export {
  checkPlacementFile,
  type ExpertBlock,
  formatPlacement,
  type PlacementFile,
  parsePlacementFile,
  placementFileOf,
  placementOf,
} from './placement-file.js';
export { type PlanRequest, planPlacement } from './plan-placement.js';
export { readRoutingCounts, syntheticCounts } from './routing-counts.js';
