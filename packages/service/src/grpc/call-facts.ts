import type { CallContext } from 'nice-grpc-common';
import type { Logger } from '../telemetry/log.js';

/** What a handler knows of its call besides gRPC's own: `context.signal` aborts for a TesseraError as its reason. */
export interface CallFacts {
  /** When the answer must be complete, Unix ms: the caller's deadline, held within the service's limits. */
  readonly deadlineMs: number;
  readonly log: Logger;
  /** Says which request the call carries: from then on its errors tell the caller the id. */
  setRequestId(requestId: string): void;
  /** What the service's `onArrival` returned for the call. */
  readonly arrival?: Disposable;
}

export type TesseraCallContext = CallContext & CallFacts;
