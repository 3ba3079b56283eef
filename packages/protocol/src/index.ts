export * from './descriptors.js';
export * from './errors.js';
export * from './messages.js';
export * from './tensor.js';
export * from './tensor-message.js';
