export { type EncoderSettings, encoderSettings } from './config.js';
export { encoderPorts } from './graph.js';
export * from './item-encoder.js';
export { encoder } from './start.js';
