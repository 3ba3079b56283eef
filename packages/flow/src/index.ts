export * from './abort.js';
export * from './abort-error.js';
export * from './deadline.js';
export { EventQueue, type EventQueueOptions } from './event-queue.js';
export { withFileLock } from './file-lock.js';
export { hasEnded, thisHost } from './host.js';
export { type LinkedAbort, linkedAbort } from './linked-abort.js';
export { mapOrdered } from './map-ordered.js';
export { withDrain } from './with-drain.js';
