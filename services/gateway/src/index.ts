export { nextStates, stateName } from './answer/request-lifecycle.js';
export { gatewaySettings } from './config.js';
export { gateway } from './start.js';
