export { Admission } from './admission.js';
export { Budget } from './budget.js';
export { connectBus } from './connect-bus.js';
export {
  busyRatio,
  busySecondsTotal,
  modelInfoGauge,
  tilesTotal,
  timeToFirstTokenSeconds,
  wastedSecondsTotal,
} from './shared-metrics.js';
export { StageMeter } from './stage-meter.js';
export { batchWaitSetting, computeSettings, stageSettings } from './stage-settings.js';
export { type Stage, type StageOptions, startStage } from './start-stage.js';
