import type { BusConnection } from '../connection/bus-connection.js';

/** Says a process's status every half second. */
export interface Announcer {
  /** Says it now: to be called on a change that others must not wait for, such as the beginning of a drain. */
  now(): void;
}

/** What is announced, and where. */
export interface Announcement {
  readonly subject: string;
  /** The status now, as bytes. */
  readonly status: () => Uint8Array;
  /** Said once at the end, so that no one waits for the silence. */
  readonly lastWord: () => Uint8Array;
}

/** Announces over core NATS until the signal aborts. */
export function announce(
  connection: BusConnection,
  { subject, status, lastWord }: Announcement,
  signal: AbortSignal,
): Announcer {
  const { nc, limits } = connection;
  const say = (what: Uint8Array) => {
    // While NATS is away announcements would only pile up, to be sent late.
    if (connection.isOnline) nc.publish(subject, what);
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
      say(lastWord());
    },
    { once: true },
  );
  if (signal.aborted) clearInterval(timer);
  now();
  return { now };
}

/** Who is known by announcements. */
export interface AnnouncementListener {
  hear(payload: Uint8Array): void;
  /** Those that have been silent for too long are to be forgotten. */
  forgetSilent(nowMs: number): void;
  /** The silence was this process's: all get their time again. */
  excuse(nowMs: number): void;
}

/** Follows what is announced under a subject until the signal aborts, which has not happened yet. */
export function followAnnouncements(
  connection: BusConnection,
  subject: string,
  listener: AnnouncementListener,
  signal: AbortSignal,
): void {
  const { nc, limits } = connection;
  const subscription = nc.subscribe(subject, {
    callback: (error, message) => {
      if (error === null) listener.hear(message.data);
    },
  });
  const pauseMs = Math.max(10, limits.silenceMs / 4);
  let sweptAtMs = performance.now();
  const sweep = setInterval(() => {
    const nowMs = performance.now();
    // What was said while this process stood still is not read yet.
    if (nowMs - sweptAtMs > 2 * pauseMs) listener.excuse(nowMs);
    sweptAtMs = nowMs;
    if (connection.isOnline) listener.forgetSilent(nowMs);
  }, pauseMs);
  sweep.unref();
  // While NATS was away nobody could be heard.
  const forget = connection.onReconnect(() => listener.excuse(performance.now()));
  signal.addEventListener(
    'abort',
    () => {
      subscription.unsubscribe();
      clearInterval(sweep);
      forget();
    },
    { once: true },
  );
}
