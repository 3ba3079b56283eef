import { TesseraError } from '@tessera/protocol';
import type { ServerMiddleware } from 'nice-grpc-common';
import { abortable } from '../abort.js';
import { drive } from './drive.js';

/** Refuses calls that begin after the drain did; those that began before go on. */
export function refuseWhileDraining(service: string, drain: AbortSignal): ServerMiddleware {
  return async function* unlessDraining(call, context) {
    if (drain.aborted)
      throw new TesseraError('DRAINING', `this ${service} is shutting down; another replica will answer`);
    return yield* call.next(call.request, context);
  };
}

/** Ends streams that would never end by themselves, such as reflection's, when the drain begins. */
export function endAtDrain(drain: AbortSignal): ServerMiddleware {
  return async function* untilDrain(call, context) {
    try {
      return yield* drive(call.next(call.request, context), (next) => abortable(next(), drain));
    } catch (reason) {
      if (!call.responseStream || reason !== drain.reason) throw reason;
      return undefined;
    }
  };
}
