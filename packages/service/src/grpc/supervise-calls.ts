import { constants, type ServerHttp2Stream } from 'node:http2';
import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { remainingMs } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { type CallRecord, type CallRecords, callHeader } from './call-records.js';
import { completeStatus, type SentStatus, statusOf } from './complete-status.js';

interface CallLimits {
  /** For callers that set no deadline. */
  readonly defaultDeadlineMs: number;
  readonly maxDeadlineMs: number;
  /** How long a caller may take nothing of what is sent to it. */
  readonly maxStallMs: number;
}

export interface SuperviseOptions {
  readonly records: CallRecords;
  readonly limits: CallLimits;
  /** Whether the method's calls must end: true for all but health and reflection, whose streams may stay open. */
  readonly mustEnd: (path: string) => boolean;
  readonly onReset: (path: string, reason: 'deadline' | 'stalled') => void;
  /** What the call's service says as it comes. @throws TesseraError to refuse it at once */
  readonly onArrival: (path: string) => Disposable | undefined;
  /** A call was refused at its arrival, and no middleware sees it. */
  readonly onRefused: (path: string, error: TesseraError) => void;
}

/** Time that a stream has after its deadline to hand over the last bytes and its status. */
const lastWordMs = 1000;

/** setTimeout takes no longer delay; it would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Keeps a record of each call, completes the statuses that gRPC itself makes, and ends what does not end by itself: a
 * status stands in line behind the messages before it, so a caller that reads nothing would hold its call, with all that
 * the call holds, until it goes away. Such a stream is reset once its deadline has passed, or when it has stood still for
 * `maxStallMs`; for the handler that is a caller that left.
 */
export function superviseCalls(options: SuperviseOptions): ServerInterceptor {
  const { records, limits, mustEnd, onReset, onArrival, onRefused } = options;
  const statusOfRefusal = lastKept(statusOf);
  return ({ path }, call) => {
    let arrival: Disposable | undefined;
    try {
      arrival = onArrival(path);
    } catch (reason) {
      const error = TesseraError.from(reason);
      onRefused(path, error);
      return refused(call, statusOfRefusal(error));
    }
    const nowMs = Date.now();
    const askedMs = Number(call.getDeadline());
    const deadlineMs = mustEnd(path)
      ? Math.min(Number.isFinite(askedMs) ? askedMs : nowMs + limits.defaultDeadlineMs, nowMs + limits.maxDeadlineMs)
      : askedMs;
    const record: CallRecord = { deadlineMs, arrival };
    // gRPC answers by this method of its own what never reaches a handler: bytes that are no message, one too large.
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (status) => sendStatus(completeStatus(status, path, record));

    const stream = streamOf(call);
    const reset = (reason: 'deadline' | 'stalled') => {
      if (stream.destroyed) return;
      onReset(path, reason);
      stream.close(constants.NGHTTP2_CANCEL);
      // What is still in line would keep it open for a caller that does not take it.
      stream.destroy();
    };
    const overMs = remainingMs(deadlineMs) + lastWordMs;
    const deadlineTimer = overMs <= maxTimerMs ? setTimeout(reset, overMs, 'deadline') : undefined;
    let stallTimer: NodeJS.Timeout | undefined;
    const stallFrom = () => {
      clearTimeout(stallTimer);
      stallTimer = setTimeout(reset, Math.min(limits.maxStallMs, maxTimerMs), 'stalled');
    };
    const number = records.open(record);
    stream.once('close', () => {
      clearTimeout(deadlineTimer);
      clearTimeout(stallTimer);
      records.close(number);
      arrival?.[Symbol.dispose]();
    });
    return new SupervisedCall(call, number, { sending: stallFrom, sent: () => clearTimeout(stallTimer) });
  };
}

/** Ends a call of which only the headers have come. */
function refused(call: Call, status: SentStatus): ServerInterceptingCall {
  call.sendStatus(status);
  const stream = streamOf(call);
  // A client that goes on sending has its answer, and holds its stream no longer.
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), lastWordMs);
  stream.once('close', () => clearTimeout(timer));
  return new NeverStarted(call);
}

/** Those of a burst are refused with the same words; to encode them takes as long as all the rest of a refusal. */
function lastKept(make: (error: TesseraError) => SentStatus): (error: TesseraError) => SentStatus {
  let last: { readonly key: string; readonly status: SentStatus } | undefined;
  return (error) => {
    const key = JSON.stringify([error.code, error.message, { ...error.options, cause: undefined }]);
    if (last?.key !== key) last = { key, status: make(error) };
    return last.status;
  };
}

/** No handler hears of it. */
class NeverStarted extends ServerInterceptingCall {
  override start(): void {}
}

interface Watch {
  /** Bytes are handed to the stream. */
  sending(): void;
  /** The caller has room for all of them. */
  sent(): void;
}

type Call = Parameters<ServerInterceptor>[1];
type Listener = Parameters<ServerInterceptingCall['start']>[0];

class SupervisedCall extends ServerInterceptingCall {
  constructor(
    call: Call,
    number: string,
    private readonly watch: Watch,
  ) {
    // What a caller puts there itself is overwritten.
    const onReceiveMetadata = (metadata: Metadata, next: (metadata: Metadata) => void) => {
      metadata.set(callHeader, number);
      next(metadata);
    };
    const listener = new ServerListenerBuilder().withOnReceiveMetadata(onReceiveMetadata).build();
    super(call, new ResponderBuilder().withStart((start) => start(listener)).build());
  }

  /**
   * Not before the headers of all that came with it are looked at: of a burst, those for which there is no room are not to
   * wait for the work of those before them.
   */
  override start(listener: Listener): void {
    setImmediate(() => super.start(listener));
  }

  override sendMessage(message: unknown, callback: () => void): void {
    this.watch.sending();
    super.sendMessage(message, () => {
      this.watch.sent();
      callback();
    });
  }

  override sendStatus(status: SentStatus): void {
    this.watch.sending();
    super.sendStatus(status);
  }
}

/** The HTTP/2 stream of a call. gRPC's own interface has no way to reset one. */
function streamOf(call: Call): ServerHttp2Stream {
  return (call as unknown as { stream: ServerHttp2Stream }).stream;
}
