export { Admission } from './admission.js';
export { endWithEngine } from './end-with-engine.js';
export { jobTiming } from './job-timing.js';
export { computeSettings, stageSettings, tileStageSettings } from './stage-settings.js';
export {
  type GraphStageOptions,
  type GraphStageParts,
  type GraphStageWork,
  startGraphStage,
} from './start-graph-stage.js';
export { startTileStage, type TileStageOptions } from './start-tile-stage.js';
