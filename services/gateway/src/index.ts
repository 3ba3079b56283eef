export { gatewaySettings } from './config.js';
export { nextStates, stateName } from './request/request-state.js';
export { gateway } from './start.js';
