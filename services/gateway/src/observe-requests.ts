import type { Bus, EngineDirectory } from '@tessera/bus';
import { sleep } from '@tessera/flow';
import { RequestState } from '@tessera/protocol';
import { type Metrics, type ServiceContext, type ServiceSettings, timeToFirstTokenSeconds } from '@tessera/service';
import type { QueueAttendance } from './admission/queue-attendance.js';
import { nextStates, stateName } from './answer/request-lifecycle.js';
import type { ChatDependencies } from './chat.js';
import {
  gatewayAttemptsTotal,
  gatewayEngines,
  gatewayRequestSeconds,
  gatewayRequests,
  gatewayRequestsAwaiting,
  gatewayRequestsTotal,
  gatewayTransitionsTotal,
  queueAttended,
  queueDepth,
  queueOldestSeconds,
  streamBytes,
  streamMaxBytes,
  streamMessages,
} from './metric-declarations.js';
import { stageName } from './routing/awaited-stages.js';

/** How often NATS is asked how its queues and streams fare, in milliseconds. */
const busPauseMs = 2000;

/** Those that a request goes on from. */
const runningStates = Object.values(RequestState).filter(
  (state): state is RequestState =>
    typeof state === 'number' && state !== RequestState.UNSPECIFIED && nextStates(state).length > 0,
);

/** What is told of requests. */
export type RequestObserver = Pick<ChatDependencies, 'onState' | 'onAwaited' | 'onAttempt' | 'onEnd'> & {
  /** The first text of an answer leaves, so long after its request was accepted. */
  onFirstText(afterMs: number): void;
};

/** Asks NATS how its queues and streams fare, and shows it: only a gateway does, since all would say the same. */
function busGauges(metrics: Metrics, bus: Bus, attendance: QueueAttendance): () => Promise<void> {
  const attended = metrics.gauge(queueAttended);
  const depth = metrics.gauge(queueDepth);
  const oldest = metrics.gauge(queueOldestSeconds);
  const bytesHeld = metrics.gauge(streamBytes);
  const bytesAllowed = metrics.gauge(streamMaxBytes);
  const messagesHeld = metrics.gauge(streamMessages);
  return async () => {
    const [queues, streams] = await Promise.all([bus.queueStates(), bus.streamStates()]);
    for (const { kind, waiting, oldestAgeMs } of queues) {
      depth.set({ kind }, waiting);
      oldest.set({ kind }, oldestAgeMs / 1000);
      attended.set({ kind }, attendance.isUnattended(kind) ? 0 : 1);
    }
    for (const { name: stream, bytes, maxBytes, messages } of streams) {
      bytesHeld.set({ stream }, bytes);
      bytesAllowed.set({ stream }, maxBytes);
      messagesHeld.set({ stream }, messages);
    }
  };
}

/** What is looked at, until the signal aborts. */
export interface Observed {
  readonly bus: Bus;
  readonly directory: EngineDirectory;
  readonly attendance: QueueAttendance;
  readonly signal: AbortSignal;
}

/** Metrics and log lines of the request state machine, and gauges of the bus. */
export function observeRequests<S extends ServiceSettings>(
  { metrics, log }: ServiceContext<S>,
  { bus, directory, attendance, signal }: Observed,
): RequestObserver {
  const awaiting = metrics.gauge(gatewayRequestsAwaiting);
  const inState = metrics.gauge(gatewayRequests);
  // What no request is in yet is 0, not absent: whoever looks may want to know now.
  for (const state of runningStates) inState.set({ state: stateName(state) }, 0);
  const transitions = metrics.counter(gatewayTransitionsTotal);
  const attempts = metrics.counter(gatewayAttemptsTotal);
  const ended = metrics.counter(gatewayRequestsTotal);
  const seconds = metrics.histogram(gatewayRequestSeconds);
  const engines = metrics.gauge(gatewayEngines);
  const firstToken = metrics.histogram(timeToFirstTokenSeconds);
  void (async () => {
    const observeBus = busGauges(metrics, bus, attendance);
    while (!signal.aborted) {
      engines.set(directory.size);
      await observeBus().catch(() => undefined);
      await sleep(busPauseMs, signal).catch(() => undefined);
    }
  })();
  return {
    onState(entered, left) {
      if (left !== RequestState.UNSPECIFIED) inState.dec({ state: stateName(left) });
      if (nextStates(entered).length > 0) inState.inc({ state: stateName(entered) });
      transitions.inc({ state: stateName(entered) });
    },
    onAwaited(stage, waits) {
      if (waits) awaiting.inc({ stage: stageName(stage) });
      else awaiting.dec({ stage: stageName(stage) });
    },
    onAttempt: () => attempts.inc(),
    onFirstText: (afterMs) => firstToken.observe(afterMs / 1000),
    onEnd({ requestId, state, durationMs, error }) {
      ended.inc({ code: error?.code ?? (state === RequestState.DONE ? 'OK' : 'CANCELLED') });
      seconds.observe(durationMs / 1000);
      const fields = {
        event: 'request_ended',
        request_id: requestId,
        state: stateName(state),
        duration_ms: durationMs,
      };
      if (error === undefined || error.code === 'CANCELLED') log.info(fields, 'request ended');
      else
        log.warn(
          { ...fields, code: error.code, err: error.code === 'INTERNAL' ? error : error.message },
          'request failed',
        );
    },
  };
}
