export * from './random.js';
export * from './session.js';
