import type { EngineStatus } from '@tessera/protocol';

/** An engine's announcement, idle and with room unless told otherwise. */
export function engineStatus(engineId: string, facts: Partial<EngineStatus> = {}): EngineStatus {
  return {
    engineId,
    address: '127.0.0.1:1',
    running: 0,
    waiting: 0,
    maxRunning: 4,
    maxWaiting: 4,
    draining: false,
    contextTokens: 256,
    inbox: '0-abcdefgh',
    ...facts,
  };
}
