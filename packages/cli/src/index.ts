export { type ChatAnswer, type ChatCallOptions, type ChatListener, callChat, type Picture } from './chat/chat-call.js';
export { formatTimeline } from './chat/timeline.js';
export { exitCodes } from './exit-codes.js';
export { run } from './program.js';
export { ChildService, type ServiceReady } from './up/child-service.js';
export { type ServiceName, Stack, type StackOptions, serviceNames, servicesOf } from './up/stack.js';
