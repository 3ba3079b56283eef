import { EngineStatus } from '@tessera/protocol';
import { hasUnknownFields } from '@tessera/service';
import { type Announcer, announce, followAnnouncements } from '../announcements/announcements.js';
import type { BusConnection } from '../connection/bus-connection.js';
import { EngineRoster } from './engine-roster.js';

/** The engines of this revision that announce themselves over NATS. One that falls silent is forgotten. */
export class EngineDirectory extends EngineRoster {
  constructor(
    private readonly connection: BusConnection,
    signal: AbortSignal,
  ) {
    super();
    if (signal.aborted) return;
    const listener = {
      hear: (payload: Uint8Array) => this.hear(payload),
      forgetSilent: (nowMs: number) => this.forgetSilent(nowMs),
      excuse: (nowMs: number) => this.excuse(nowMs),
    };
    followAnnouncements(connection, connection.subjects.engines(), listener, signal);
    signal.addEventListener('abort', () => this.close(), { once: true });
  }

  private hear(payload: Uint8Array): void {
    let status: EngineStatus;
    try {
      status = EngineStatus.decode(payload);
    } catch {
      this.connection.log.warn({}, 'a corrupt announcement of an engine was dropped');
      return;
    }
    if (hasUnknownFields(status)) this.connection.observer.unknownFields?.('engines');
    if (status.engineId !== '') this.heard(status);
  }

  private forgetSilent(nowMs: number): void {
    for (const { status } of this.sweep(this.connection.limits.silenceMs, nowMs)) {
      this.connection.log.info({ engineId: status.engineId }, 'an engine fell silent and was forgotten');
    }
  }
}

/** Announces until the signal aborts; the last word is that the engine drains. */
export function announceEngine(connection: BusConnection, status: () => EngineStatus, signal: AbortSignal): Announcer {
  const encoded = (what: EngineStatus) => EngineStatus.encode(what).finish();
  const announcement = {
    subject: connection.subjects.engines(),
    status: () => encoded(status()),
    lastWord: () => encoded({ ...status(), draining: true }),
  };
  return announce(connection, announcement, signal);
}
