export * from './condition.js';
export { type GeneratorSettings, generatorSettings } from './config.js';
export * from './draw-events.js';
export * from './engine.js';
export * from './sampler.js';
export { generator } from './start.js';
