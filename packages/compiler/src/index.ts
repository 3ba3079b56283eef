export { SafetensorsFile, type TensorInfo } from './checkpoint/safetensors.js';
export { type CompileOptions, type CompileProgress, compileCheckpoint } from './compile-checkpoint.js';
export { checkpointFiles } from './content-digest.js';
export { type Cut, parseCut } from './cut.js';
export { type EnsuredBundle, ensureBundle } from './ensure-bundle.js';
export {
  type CheckpointInspection,
  inspectCheckpoint,
  type ParameterDifference,
  type StageInspection,
} from './inspect-checkpoint.js';
export { requireMadeFrom, requireMadeFromId } from './made-from.js';
export type { WantedWeights } from './open-model.js';
export { chatTemplateFolder } from './tokenizer-files.js';
