import { EngineStatus } from '@tessera/protocol';
import type { BusConnection } from './bus-connection.js';

export type EnginesListener = (engines: readonly EngineStatus[]) => void;

/** The engines of this revision that announce themselves. One that falls silent is forgotten. */
export class EngineDirectory {
  private readonly engines = new Map<string, { status: EngineStatus; heardAt: number }>();
  private readonly listeners = new Set<EnginesListener>();

  constructor(
    private readonly connection: BusConnection,
    signal: AbortSignal,
  ) {
    const { nc, subjects, limits } = connection;
    if (signal.aborted) return;
    const subscription = nc.subscribe(subjects.engines(), {
      callback: (error, message) => {
        if (error === null) this.hear(message.data);
      },
    });
    const sweep = setInterval(() => this.sweep(), Math.max(10, limits.silenceMs / 4));
    sweep.unref();
    // While NATS was away the silence was ours, not the engines': they get their time again.
    const forget = connection.onReconnect(() => {
      for (const engine of this.engines.values()) engine.heardAt = performance.now();
    });
    signal.addEventListener(
      'abort',
      () => {
        subscription.unsubscribe();
        clearInterval(sweep);
        forget();
        this.engines.clear();
        this.tell();
        this.listeners.clear();
      },
      { once: true },
    );
  }

  /** Those that were heard lately, draining ones included: they still run what they have. */
  list(): EngineStatus[] {
    return [...this.engines.values()].map(({ status }) => status);
  }

  /** An engine that did not answer is not offered until it announces itself again: a dead one never does. */
  forget(engineId: string): void {
    if (this.engines.delete(engineId)) this.tell();
  }

  /** Called when an engine appears, vanishes, changes its load or begins to drain; returns how to stop that. */
  onChange(listener: EnginesListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Resolves at the next change, or after a while; throws the signal's reason if it aborts first. */
  async changed(withinMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        forget();
        signal.removeEventListener('abort', done);
        if (signal.aborted) reject(signal.reason);
        else resolve();
      };
      const timer = setTimeout(done, withinMs);
      const forget = this.onChange(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  private hear(payload: Uint8Array): void {
    let status: EngineStatus;
    try {
      status = EngineStatus.decode(payload);
    } catch {
      this.connection.log.warn({}, 'a corrupt announcement of an engine was dropped');
      return;
    }
    if (status.engineId === '') return;
    const known = this.engines.get(status.engineId);
    this.engines.set(status.engineId, { status, heardAt: performance.now() });
    if (known === undefined || !sameStatus(known.status, status)) this.tell();
  }

  private sweep(): void {
    if (!this.connection.isOnline) return;
    const oldest = performance.now() - this.connection.limits.silenceMs;
    let changed = false;
    for (const [id, { heardAt }] of this.engines) {
      if (heardAt >= oldest) continue;
      this.engines.delete(id);
      changed = true;
      this.connection.log.info({ engineId: id }, 'an engine fell silent and was forgotten');
    }
    if (changed) this.tell();
  }

  private tell(): void {
    const engines = this.list();
    for (const listener of [...this.listeners]) listener(engines);
  }
}

function sameStatus(one: EngineStatus, other: EngineStatus): boolean {
  return Buffer.compare(EngineStatus.encode(one).finish(), EngineStatus.encode(other).finish()) === 0;
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
