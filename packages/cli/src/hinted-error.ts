import { type ErrorCode, TesseraError } from '@tessera/protocol';

/** An error of the command line that knows better what to do than its code's row in the table. */
export class HintedError extends TesseraError {
  constructor(
    code: ErrorCode,
    message: string,
    readonly hint: string,
    cause?: unknown,
  ) {
    super(code, message, { cause });
  }
}
