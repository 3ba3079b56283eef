/** A port that was free a moment ago, for servers whose port must be known before they are up. */
export { steadyPort as freePort } from '../steady-port.js';
