import { sleep } from '@tessera/flow';
import type { BusConnection } from '../connection/bus-connection.js';

/** Engines that this process does not work with: of another version of the bus, or of another revision of the model. */
export interface ForeignEngine {
  readonly version: string;
  readonly revision: string;
}

/** More kinds than these are not told apart. */
const mostKinds = 8;

/** Listens for two announcements of whoever is there, and tells each kind once. Their messages are not read. */
export async function hearForeignEngines(
  { nc, subjects, limits, isOnline }: BusConnection,
  signal: AbortSignal,
): Promise<ForeignEngine[]> {
  if (!isOnline) return [];
  const heard = new Map<string, ForeignEngine>();
  const subscription = nc.subscribe(subjects.anyEngines(), {
    callback: (error, message) => {
      const engine = error === null ? subjects.parseEngines(message.subject) : undefined;
      if (engine === undefined || message.subject === subjects.engines()) return;
      if (heard.size < mostKinds) heard.set(message.subject, engine);
    },
  });
  try {
    await sleep(2 * limits.announceMs + limits.announceMs / 2, signal);
  } finally {
    subscription.unsubscribe();
  }
  return [...heard.values()];
}
