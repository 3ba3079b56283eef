import { TesseraError } from '@tessera/protocol';
import { type DestinationStream, destination, type Logger, pino, stdSerializers } from 'pino';
import { textDestination } from './text-destination.js';
import { currentTraceId } from './trace.js';

export type { Logger } from 'pino';

export interface LogOptions {
  readonly service: string;
  readonly level: string;
  readonly format: 'json' | 'text';
  /** Where lines go; standard output if absent. */
  readonly to?: DestinationStream;
}

/**
 * A log whose lines carry the service, and inside a request its trace_id. Fields are in snake case; a request's id is
 * `request_id`. Lines are written at once: the last one before an exit is the one that matters.
 */
export function createLog(options: LogOptions): Logger {
  const to = options.to ?? destination({ fd: 1, sync: true });
  return pino(
    {
      level: options.level,
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError },
      mixin: () => {
        const traceId = currentTraceId();
        return traceId === undefined ? {} : { trace_id: traceId };
      },
    },
    options.format === 'text' ? textDestination(to) : to,
  );
}

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { type, message, stack } = stdSerializers.err(error);
  return { type, code: error instanceof TesseraError ? error.code : undefined, message, stack };
}
