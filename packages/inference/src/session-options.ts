import type { SessionOptions } from './session.js';

/** Of a service's settings those of its sessions: only these go to the engine's thread. */
export function sessionOptions({ threads, device }: SessionOptions): SessionOptions {
  return { threads, device };
}
