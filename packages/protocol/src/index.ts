export * from './descriptors.js';
export * from './errors.js';
export * from './headers.js';
export * from './messages.js';
export * from './streams.js';
export * from './subjects.js';
export * from './tensor.js';
export * from './tensor-message.js';
