import { EngineStatus } from '@tessera/protocol';
import { hasUnknownFields } from '@tessera/service';
import type { BusConnection } from '../connection/bus-connection.js';
import { EngineRoster } from './engine-roster.js';

/** The engines of this revision that announce themselves over NATS. One that falls silent is forgotten. */
export class EngineDirectory extends EngineRoster {
  constructor(
    private readonly connection: BusConnection,
    signal: AbortSignal,
  ) {
    super();
    const { nc, subjects, limits } = connection;
    if (signal.aborted) return;
    const subscription = nc.subscribe(subjects.engines(), {
      callback: (error, message) => {
        if (error === null) this.hear(message.data);
      },
    });
    const pauseMs = Math.max(10, limits.silenceMs / 4);
    let sweptAtMs = performance.now();
    const sweep = setInterval(() => {
      const nowMs = performance.now();
      // What was said while this process stood still is not read yet.
      if (nowMs - sweptAtMs > 2 * pauseMs) this.excuse(nowMs);
      sweptAtMs = nowMs;
      if (connection.isOnline) this.forgetSilent(nowMs);
    }, pauseMs);
    sweep.unref();
    // While NATS was away nobody could be heard.
    const forget = connection.onReconnect(() => this.excuse());
    signal.addEventListener(
      'abort',
      () => {
        subscription.unsubscribe();
        clearInterval(sweep);
        forget();
        this.close();
      },
      { once: true },
    );
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

/** Says an engine's status every half second. */
export interface Announcer {
  /** Says it now: to be called on a change that others must not wait for, such as the beginning of a drain. */
  now(): void;
}

/** Announces until the signal aborts; the last word is that the engine drains, so no one waits for its silence. */
export function announceEngine(connection: BusConnection, status: () => EngineStatus, signal: AbortSignal): Announcer {
  const { nc, subjects, limits } = connection;
  const say = (what: EngineStatus) => {
    // While NATS is away announcements would only pile up, to be sent late.
    if (connection.isOnline) nc.publish(subjects.engines(), EngineStatus.encode(what).finish());
  };
  const now = () => {
    if (!signal.aborted) say(status());
  };
  const timer = setInterval(now, limits.announceMs);
  const forget = connection.onReconnect(now);
  signal.addEventListener(
    'abort',
    () => {
      clearInterval(timer);
      forget();
      say({ ...status(), draining: true });
    },
    { once: true },
  );
  if (signal.aborted) clearInterval(timer);
  now();
  return { now };
}
