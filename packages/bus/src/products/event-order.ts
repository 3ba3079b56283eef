import type { ProductEvent } from '@tessera/protocol';

export interface EventOrderOutcome<Event> {
  /** The events whose turn it is now, in order. */
  readonly ready: Event[];
  readonly dropped?: 'duplicate' | 'stale' | 'overflow';
}

/** One item's newest attempt. */
interface Item<Event> {
  attempt: number;
  next: number;
  readonly early: Map<number, { readonly event: Event; readonly bytes: number }>;
}

/** How far ahead of its turn an event may come; its maker publishes one after the other, so little is ever early. */
const maxEarly = 1024;
const maxEarlyBytes = 16 * 1024 * 1024;

/**
 * Puts the events of a request's items in order: by sequence within an attempt, each once, and only those of the
 * newest attempt that was seen, which replaces what an older one had begun.
 */
export class EventOrder<Event extends ProductEvent> {
  private readonly items = new Map<number, Item<Event>>();
  private earlyBytes = 0;

  /** @param bytes what the event takes in memory */
  add(attempt: number, item: number, event: Event, bytes: number): EventOrderOutcome<Event> {
    const state = this.stateOf(item, attempt);
    if (attempt < state.attempt) return { ready: [], dropped: 'stale' };
    if (event.sequence < state.next || state.early.has(event.sequence)) return { ready: [], dropped: 'duplicate' };
    if (event.sequence > state.next) {
      if (state.early.size >= maxEarly || this.earlyBytes + bytes > maxEarlyBytes) {
        return { ready: [], dropped: 'overflow' };
      }
      state.early.set(event.sequence, { event, bytes });
      this.earlyBytes += bytes;
      return { ready: [] };
    }
    const ready = [event];
    for (state.next++; ; state.next++) {
      const following = state.early.get(state.next);
      if (following === undefined) break;
      state.early.delete(state.next);
      this.earlyBytes -= following.bytes;
      ready.push(following.event);
    }
    return { ready };
  }

  private stateOf(item: number, attempt: number): Item<Event> {
    const known = this.items.get(item);
    if (known !== undefined && attempt <= known.attempt) return known;
    for (const { bytes } of known?.early.values() ?? []) this.earlyBytes -= bytes;
    const fresh: Item<Event> = { attempt, next: 0, early: new Map() };
    this.items.set(item, fresh);
    return fresh;
  }
}
