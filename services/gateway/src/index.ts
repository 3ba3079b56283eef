export { gatewaySettings } from './config.js';
export { EnginePool } from './dispatch/engine-pool.js';
export { Chat, type ChatCall, type ChatDependencies, type ChatLimits } from './request/chat.js';
export type { ChatEvent } from './request/chat-request.js';
export { nextStates, stateName } from './request/request-state.js';
export { gateway } from './start.js';
