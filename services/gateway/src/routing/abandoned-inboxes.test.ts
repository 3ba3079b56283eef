import { type Bus, EngineRoster } from '@tessera/bus';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { engineStatus } from '../testing/engine-status.js';
import { removeAbandonedInboxes } from './abandoned-inboxes.js';

let roster: EngineRoster;
let removed: string[];
let stop: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  roster = new EngineRoster();
  removed = [];
  stop = new AbortController();
  const bus = { removeInbox: async (_product: unknown, inbox: string) => void removed.push(inbox) };
  removeAbandonedInboxes(roster, bus as unknown as Bus, stop.signal);
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const heard = (engineId: string) => roster.heard(engineStatus(engineId, { inbox: `inbox of ${engineId}` }));

test('what lies for an engine that is gone is removed, and again for what late work still makes', () => {
  for (const id of ['one', 'two']) heard(id);
  roster.forget('one');
  expect(removed).toEqual([]);
  vi.advanceTimersByTime(60_000);
  expect(removed).toEqual(['inbox of one', 'inbox of one', 'inbox of one']);
  vi.advanceTimersByTime(60_000);
  expect(removed).toHaveLength(3);
});

test('an engine that speaks again keeps what lies for it', () => {
  heard('one');
  roster.forget('one');
  vi.advanceTimersByTime(1000);
  heard('one');
  vi.advanceTimersByTime(60_000);
  expect(removed).toEqual([]);
  roster.forget('one');
  vi.advanceTimersByTime(60_000);
  expect(removed).toHaveLength(3);
});

test('a gateway that stops removes nothing more', () => {
  heard('one');
  heard('two');
  roster.forget('one');
  stop.abort();
  roster.forget('two');
  vi.advanceTimersByTime(60_000);
  expect(removed).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
