import type { StreamPlan } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import { plannedStreams } from './setup.js';

/** Which streams of the plan the server does not have; one request, whatever their number. */
export async function missingStreams({ manager }: BusConnection, plan: StreamPlan): Promise<string[]> {
  const missing = new Set(plannedStreams(plan));
  for await (const name of manager.streams.names()) missing.delete(name);
  return [...missing];
}
