import { createLog, type Logger } from '../telemetry/log.js';

/** A log whose lines a test can read. */
export function memoryLog(): { log: Logger; lines: Array<Record<string, unknown>> } {
  const lines: Array<Record<string, unknown>> = [];
  const to = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { log: createLog({ service: 'llm', level: 'debug', format: 'json', to }), lines };
}
