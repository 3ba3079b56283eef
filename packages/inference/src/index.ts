export * from './batched-graph.js';
export * from './batcher.js';
export * from './engine-thread.js';
export * from './engine-thread-host.js';
export { type EngineCalls, fromWireError, toWireError, type WireError } from './engine-thread-messages.js';
export { createThreadSession, type ThreadSession } from './engine-thread-session.js';
export * from './random.js';
export * from './session.js';
export * from './session-options.js';
