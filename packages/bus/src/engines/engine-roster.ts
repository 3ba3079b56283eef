import type { EngineStatus } from '@tessera/protocol';

/** An engine that announces itself: one object for as long as it is known, brought up to date by each announcement. */
export interface KnownEngine {
  readonly status: EngineStatus;
  /** Counts its announcements: whoever adds to the announced load what he knows himself begins anew with each. */
  readonly announcements: number;
}

/**
 * What became of an engine: it spoke; it has been silent for too long, though its connections may stand; it did not
 * answer.
 */
export type EngineNews = 'heard' | 'silent' | 'forgotten';

export type EngineListener = (engine: KnownEngine, news: EngineNews) => void;

interface Entry extends KnownEngine {
  status: EngineStatus;
  announcements: number;
  heardAtMs: number;
  /** Its place among those that take work; -1 while it drains. */
  place: number;
}

/**
 * Who is there, by what was heard. An announcement costs the same however many engines there are: nothing is copied, and
 * listeners are told of the one engine that spoke.
 */
export class EngineRoster {
  private readonly entries = new Map<string, Entry>();
  private readonly willing: Entry[] = [];
  private readonly listeners = new Set<EngineListener>();
  private heardAtMs: number | undefined;

  /** Those that take work, in no order. To be looked at, not kept: it changes in place. */
  get ready(): readonly KnownEngine[] {
    return this.willing;
  }

  /** How many are known, draining ones included: they still run what they have. */
  get size(): number {
    return this.entries.size;
  }

  /** When any engine last spoke, on the monotonic clock; undefined before the first one. */
  get lastHeardAtMs(): number | undefined {
    return this.heardAtMs;
  }

  /** The statuses of all that are known. */
  list(): EngineStatus[] {
    return [...this.entries.values()].map(({ status }) => status);
  }

  /** Takes an announcement in. */
  heard(status: EngineStatus, nowMs = performance.now()): void {
    let entry = this.entries.get(status.engineId);
    if (entry === undefined) {
      entry = { status, announcements: 0, heardAtMs: nowMs, place: -1 };
      this.entries.set(status.engineId, entry);
    }
    entry.status = status;
    entry.announcements++;
    entry.heardAtMs = nowMs;
    this.heardAtMs = nowMs;
    if (status.draining) this.withdraw(entry);
    else if (entry.place < 0) entry.place = this.willing.push(entry) - 1;
    this.tell(entry, 'heard');
  }

  /** An engine that did not answer is not offered until it announces itself again: a dead one never does. */
  forget(engineId: string): void {
    const entry = this.entries.get(engineId);
    if (entry !== undefined) this.remove(entry, 'forgotten');
  }

  /** Forgets those that have been silent for as long as this. @returns who they were */
  sweep(silenceMs: number, nowMs = performance.now()): KnownEngine[] {
    const silent = [...this.entries.values()].filter(({ heardAtMs }) => nowMs - heardAtMs > silenceMs);
    for (const entry of silent) this.remove(entry, 'silent');
    return silent;
  }

  /** The silence was ours, not the engines': they get their time again. */
  excuse(nowMs = performance.now()): void {
    for (const entry of this.entries.values()) entry.heardAtMs = nowMs;
  }

  /** Calls the listener with each engine that spoke or is gone; returns how to stop that. */
  onChange(listener: EngineListener): () => void {
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

  /** Nobody is known any more, and nobody is told of anything. */
  protected close(): void {
    for (const entry of [...this.entries.values()]) this.remove(entry, 'forgotten');
    this.listeners.clear();
  }

  private remove(entry: Entry, news: EngineNews): void {
    this.entries.delete(entry.status.engineId);
    this.withdraw(entry);
    this.tell(entry, news);
  }

  private withdraw(entry: Entry): void {
    if (entry.place < 0) return;
    const last = this.willing.pop() as Entry;
    if (last !== entry) {
      this.willing[entry.place] = last;
      last.place = entry.place;
    }
    entry.place = -1;
  }

  private tell(engine: KnownEngine, news: EngineNews): void {
    for (const listener of this.listeners) listener(engine, news);
  }
}
