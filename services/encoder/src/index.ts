export { type EncoderSettings, encoderSettings } from './config.js';
export * from './engine.js';
export * from './item-encoder.js';
export { encoder } from './start.js';
