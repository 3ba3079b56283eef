import type { EngineStatus } from '@tessera/protocol';
import { afterEach, expect, test, vi } from 'vitest';
import { type EngineNews, EngineRoster } from './engine-roster.js';

function status(engineId: string, { running = 0, draining = false } = {}): EngineStatus {
  return {
    engineId,
    address: '127.0.0.1:1',
    running,
    waiting: 0,
    maxWaiting: 8,
    draining,
    contextTokens: 256,
    maxRunning: 4,
    inbox: '0-abcdefgh',
  };
}

afterEach(() => vi.useRealTimers());

function names(roster: EngineRoster): string[] {
  return roster.ready.map(({ status: { engineId } }) => engineId).sort();
}

test('draining engines are kept apart from those that take work', () => {
  const roster = new EngineRoster();
  for (const id of ['a', 'b', 'c']) roster.heard(status(id));
  roster.heard(status('a', { draining: true }));
  expect(names(roster)).toEqual(['b', 'c']);
  expect(roster.size).toBe(3);
  roster.heard(status('a', { draining: true }));
  roster.forget('c');
  expect(names(roster)).toEqual(['b']);
  roster.heard(status('a'));
  expect(names(roster)).toEqual(['a', 'b']);
});

test('an announcement is told with the one engine that spoke, which stays the same object', () => {
  const roster = new EngineRoster();
  const told: [id: string, running: number, count: number, news: EngineNews][] = [];
  roster.onChange((engine, news) => {
    told.push([engine.status.engineId, engine.status.running, engine.announcements, news]);
  });
  roster.heard(status('a'));
  roster.heard(status('b'));
  const [first] = roster.ready;
  roster.heard(status('a', { running: 3 }));
  expect(roster.ready[0]).toBe(first);
  expect(first?.status.running).toBe(3);
  roster.forget('b');
  roster.forget('b');
  expect(told).toEqual([
    ['a', 0, 1, 'heard'],
    ['b', 0, 1, 'heard'],
    ['a', 3, 2, 'heard'],
    ['b', 0, 1, 'forgotten'],
  ]);
});

test('who is silent for too long is forgotten, unless the silence was ours', () => {
  const roster = new EngineRoster();
  const gone: [string, EngineNews][] = [];
  roster.onChange(({ status: { engineId } }, news) => {
    if (news !== 'heard') gone.push([engineId, news]);
  });
  roster.heard(status('a'), 1000);
  roster.heard(status('b'), 2500);
  expect(roster.sweep(2000, 3000)).toEqual([]);
  expect(roster.sweep(2000, 3001).map(({ status: { engineId } }) => engineId)).toEqual(['a']);
  roster.excuse(9000);
  expect(roster.sweep(2000, 10_000)).toEqual([]);
  expect(names(roster)).toEqual(['b']);
  roster.sweep(2000, 11_001);
  expect(gone).toEqual([
    ['a', 'silent'],
    ['b', 'silent'],
  ]);
  expect(roster.ready).toEqual([]);
  expect(roster.lastHeardAtMs).toBe(2500);
});

test('who waits for a change is woken by the first one, after a while without any, and by its signal', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const roster = new EngineRoster();
  const never = new AbortController().signal;
  const change = roster.changed(60_000, never);
  roster.heard(status('a'));
  await change;
  expect(vi.getTimerCount()).toBe(0);
  let over = false;
  const patience = roster.changed(1000, never).then(() => {
    over = true;
  });
  await vi.advanceTimersByTimeAsync(999);
  expect(over).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await patience;
  const leaving = new AbortController();
  const left = roster.changed(60_000, leaving.signal);
  leaving.abort(new Error('enough'));
  await expect(left).rejects.toThrow('enough');
  await expect(roster.changed(60_000, leaving.signal)).rejects.toThrow('enough');
  expect(vi.getTimerCount()).toBe(0);
});

test('one that closes forgets every engine and says so, and nothing more', () => {
  class Closing extends EngineRoster {
    end(): void {
      this.close();
    }
  }
  const roster = new Closing();
  const gone: [string, EngineNews][] = [];
  roster.onChange(({ status: { engineId } }, news) => gone.push([engineId, news]));
  const stop = roster.onChange(() => gone.push(['stopped', 'heard']));
  stop();
  for (const id of ['a', 'b']) roster.heard(status(id));
  gone.length = 0;
  roster.end();
  expect(gone).toEqual([
    ['a', 'forgotten'],
    ['b', 'forgotten'],
  ]);
  expect([roster.size, names(roster)]).toEqual([0, []]);
  roster.heard(status('c'));
  expect(gone).toHaveLength(2);
});

test('any order of coming, draining and going leaves exactly the willing', () => {
  const roster = new EngineRoster();
  const willing = new Set<string>();
  let state = 7;
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
  for (let turn = 0; turn < 5000; turn++) {
    const id = `engine-${random(40)}`;
    const what = random(3);
    if (what === 0) roster.forget(id);
    else roster.heard(status(id, { draining: what === 1 }));
    if (what === 2) willing.add(id);
    else willing.delete(id);
    if (turn % 97 === 0) expect(names(roster)).toEqual([...willing].sort());
  }
});
