export { Admission } from './admission.js';
export { StageMeter } from './stage-meter.js';
export { batchWaitSetting, computeSettings, stageSettings } from './stage-settings.js';
export { type Stage, type StageOptions, startStage } from './start-stage.js';
