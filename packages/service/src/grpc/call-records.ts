import type { Metadata } from 'nice-grpc-common';

/** What the server keeps of one open call from its headers to its status, for interceptors and middleware alike. */
export interface CallRecord {
  /** When the answer must be complete, Unix ms. Infinity for a call that may go on for ever, such as a health watch. */
  readonly deadlineMs: number;
  /** The request that the call carries, once the handler knows it. */
  requestId?: string;
  /** What its service said when it came. */
  readonly arrival?: Disposable;
}

/** Internal metadata from the interceptor to the middleware: the number of the call's record. */
export const callHeader = 'tessera-internal-call';

/** gRPC hands nothing from an interceptor to the middleware but metadata; so that carries a number, and this the rest. */
export class CallRecords {
  readonly #open = new Map<string, CallRecord>();
  #last = 0;

  /** @returns the number to put into the call's metadata */
  open(record: CallRecord): string {
    const number = String(++this.#last);
    this.#open.set(number, record);
    return number;
  }

  close(number: string): void {
    this.#open.delete(number);
  }

  /** The record of a middleware's call; undefined once its stream is closed. */
  of(metadata: Metadata): CallRecord | undefined {
    return this.#open.get(metadata.get(callHeader) ?? '');
  }
}
