import type { Bus, EngineRoster } from '@tessera/bus';
import { visualTokens } from '@tessera/protocol';

/** When what lies for an engine that is gone is removed, after it was last heard of: again for what late work still makes. */
const sweepAfterMs = [3000, 15_000, 45_000];

/**
 * Removes from NATS what lies for engines that are gone: their requests have moved, and nobody else has their address. An
 * engine that speaks again before its turn keeps everything; one that was only deaf for a while asks for its tiles anew.
 */
export function removeAbandonedInboxes(roster: EngineRoster, bus: Bus, signal: AbortSignal): void {
  const timers = new Map<string, NodeJS.Timeout[]>();
  const keep = (engineId: string): void => {
    for (const timer of timers.get(engineId) ?? []) clearTimeout(timer);
    timers.delete(engineId);
  };
  const forget = roster.onChange(({ status }, news) => {
    const { engineId, inbox } = status;
    keep(engineId);
    if (news === 'heard') return;
    const sweeps = sweepAfterMs.map((afterMs, at) =>
      setTimeout(() => {
        if (at === sweepAfterMs.length - 1) timers.delete(engineId);
        void bus.removeInbox(visualTokens, inbox);
      }, afterMs).unref(),
    );
    timers.set(engineId, sweeps);
  });
  signal.addEventListener(
    'abort',
    () => {
      forget();
      for (const engineId of [...timers.keys()]) keep(engineId);
    },
    { once: true },
  );
}
