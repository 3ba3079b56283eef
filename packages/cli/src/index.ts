export { formatTimeline } from './chat/timeline.js';
export { ChildService, type ServiceReady } from './up/child-service.js';
export { type ServiceName, Stack, type StackOptions, serviceNames } from './up/stack.js';
