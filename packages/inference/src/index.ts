export * from './batched-graph.js';
export * from './batcher.js';
export * from './random.js';
export * from './session.js';
export * from './session-options.js';
export { createThreadSession, type ThreadSession } from './thread/thread-session.js';
export { fromWireError, toWireError, type WireError } from './thread/wire-error.js';
export { WorkerThread, type WorkerThreadOptions } from './thread/worker-thread.js';
export { type HostPort, hostInThread } from './thread/worker-thread-host.js';
