export type { Advice } from './advise/advice.js';
export { advise, hourlyCost } from './advise/advise.js';
export { chartScaling } from './advise/chart-scaling.js';
export { counts, type Question } from './advise/find-replicas.js';
export { type Objective, parseObjectives, shown } from './advise/objective.js';
export { costOf } from './profile/cost-of.js';
export {
  type Profile,
  parseProfile,
  profileFormat,
  readProfile,
  type StageName,
  stageNames,
  stagesOf,
} from './profile/profile.js';
export { type SimulationResult, simulate } from './simulate/simulate.js';
export { readTrace } from './trace/read-trace.js';
export { syntheticRequests } from './trace/synthetic.js';
export { type SyntheticTrace, syntheticDefaults } from './trace/synthetic-options.js';
export { type PictureSize, Trace, type TraceRequest } from './trace/trace.js';
