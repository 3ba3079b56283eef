import type { TesseraError } from '@tessera/protocol';

/** What the exit status of `tessera` says; `tessera --help` prints this table. */
export const exitCodes = {
  ok: 0,
  /** The work failed; the message says why. */
  failed: 1,
  /** The command line, a file or a setting is wrong. */
  usage: 2,
  /** The server cannot be reached, is full or is shutting down: the same command may succeed later. */
  unavailable: 3,
  /** Ended by Ctrl-C. */
  interrupted: 130,
} as const;

export function exitCodeOf(error: TesseraError): number {
  if (error.code === 'CANCELLED') return exitCodes.interrupted;
  if (error.retryable) return exitCodes.unavailable;
  return error.row.grpc === 'INVALID_ARGUMENT' || error.code === 'CONFIG_INVALID' ? exitCodes.usage : exitCodes.failed;
}
