import { RequestState } from '@tessera/protocol';
import { type Bus, type EngineDirectory, type ServiceContext, type ServiceSettings, sleep } from '@tessera/runtime';
import type { ChatDependencies } from './request/chat.js';
import { nextStates, stateName } from './request/request-state.js';

/** How often the depth of the work queues is asked for, in milliseconds. */
const depthPauseMs = 2000;

/** Metrics and log lines of the request state machine. */
export function observeRequests<S extends ServiceSettings>(
  { metrics, log }: ServiceContext<S>,
  { bus, directory, signal }: { bus: Bus; directory: EngineDirectory; signal: AbortSignal },
): Pick<ChatDependencies, 'onState' | 'onAttempt' | 'onEnd'> {
  const inState = metrics.gauge('tessera_gateway_requests');
  const transitions = metrics.counter('tessera_gateway_transitions_total');
  const attempts = metrics.counter('tessera_gateway_attempts_total');
  const ended = metrics.counter('tessera_gateway_requests_total');
  const seconds = metrics.histogram('tessera_gateway_request_seconds');
  const engines = metrics.gauge('tessera_gateway_engines');
  const depth = metrics.gauge('tessera_queue_depth');
  void (async () => {
    while (!signal.aborted) {
      engines.set(directory.size);
      const depths = await bus.queueDepths().catch(() => undefined);
      for (const { kind, waiting } of depths ?? []) depth.set({ kind }, waiting);
      await sleep(depthPauseMs, signal).catch(() => undefined);
    }
  })();
  return {
    onState(entered, left) {
      if (left !== RequestState.UNSPECIFIED) inState.dec({ state: stateName(left) });
      if (nextStates(entered).length > 0) inState.inc({ state: stateName(entered) });
      transitions.inc({ state: stateName(entered) });
    },
    onAttempt: () => attempts.inc(),
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
