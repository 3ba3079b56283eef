export { type ModelId, parseModelId } from './model-id.js';
export { pullModel } from './pull-model.js';
export type { PulledModel } from './pulled-model.js';
