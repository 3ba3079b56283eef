import { TesseraError } from '@tessera/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BusConnection } from '../connection/bus-connection.js';
import { Janitor, sayRevision } from './janitor.js';

// When it looks; what a look removes is seen with a server, in bus-setup.test.ts.

const minuteMs = 60_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** What the loops need of a connection that is online, and what they say of what went wrong. */
function online(more: object = {}) {
  const said: object[] = [];
  const connection = {
    limits: { revisionIdleMs: 6 * minuteMs },
    log: { debug: (what: object) => said.push(what) },
    waitOnline: async () => {},
    ...more,
  };
  return { connection: connection as unknown as BusConnection, said };
}

/** A janitor that runs, with looks that end so. */
function watched(janitor: Janitor, outcome: (look: number) => Promise<void>) {
  const stop = new AbortController();
  const looks = vi.spyOn(janitor, 'look').mockImplementation(() => outcome(looks.mock.calls.length));
  let isOver = false;
  const ended = janitor.run(stop.signal).then(() => {
    isOver = true;
  });
  return { looks, stop, ended, isOver: () => isOver };
}

test.each([
  [0, 45_000],
  [1 - Number.EPSILON, 75_000],
])(
  'a janitor looks every minute, give or take a quarter (chance %s: %i ms), until it is told to end',
  async (chance, ms) => {
    vi.spyOn(Math, 'random').mockReturnValue(chance);
    const { looks, stop, ended } = watched(new Janitor(online().connection), async () => {});
    for (let look = 0; look < 3; look++) {
      await vi.advanceTimersByTimeAsync(ms - 1);
      expect(looks).toHaveBeenCalledTimes(look);
      await vi.advanceTimersByTimeAsync(1);
      expect(looks).toHaveBeenCalledTimes(look + 1);
    }
    stop.abort();
    await ended;
    expect(looks).toHaveBeenCalledTimes(3);
  },
);

test('a look that fails is said, and the next one comes; a process that drains looks no more', async () => {
  const { connection, said } = online();
  const failures = [new Error('no answer'), new TesseraError('STAGE_UNAVAILABLE', 'NATS is away')];
  const { looks, ended, isOver } = watched(new Janitor(connection), async (look) => {
    throw failures[look - 1] ?? new TesseraError('DRAINING', 'it ends');
  });
  await vi.advanceTimersByTimeAsync(2 * 1.25 * minuteMs);
  expect(looks.mock.calls.length).toBeGreaterThanOrEqual(2);
  await vi.advanceTimersByTimeAsync(2 * minuteMs);
  expect([isOver(), looks.mock.calls.length]).toEqual([true, 3]);
  await ended;
  expect(said).toEqual([{ error: 'no answer' }, { error: 'NATS is away' }]);
});

test('a look that fails as the process ends is not said', async () => {
  const { connection, said } = online();
  const { looks, stop, ended } = watched(new Janitor(connection), async () => {
    stop.abort();
    throw new Error('the connection is closed');
  });
  await vi.advanceTimersByTimeAsync(1.25 * minuteMs);
  await ended;
  expect([looks.mock.calls.length, said]).toEqual([1, []]);
});

test('a sign of life is given six times in the time that one counts, though one of them is not heard', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  let signs = 0;
  const subjects = { revision: 'r1', revisionAlive: (revision: string) => `alive.${revision}` };
  const publish = vi.fn(async () => {
    if (++signs === 2) throw new Error('no answer');
  });
  const { connection, said } = online({ js: { publish }, subjects });
  const stop = new AbortController();
  const ended = sayRevision(connection, stop.signal);
  await vi.advanceTimersByTimeAsync(6 * minuteMs - 1);
  expect(publish.mock.calls).toEqual(Array.from({ length: 6 }, () => ['alive.r1', new Uint8Array(0)]));
  expect(said).toEqual([{ error: 'no answer' }]);
  stop.abort();
  await ended;
  expect(publish).toHaveBeenCalledTimes(6);
});

test('a sign of life that is not heard as the process ends is not said', async () => {
  const stop = new AbortController();
  const publish = async () => {
    stop.abort();
    throw new Error('the connection is closed');
  };
  const { connection, said } = online({ js: { publish }, subjects: { revisionAlive: () => 'alive' } });
  await sayRevision(connection, stop.signal);
  expect(said).toEqual([]);
});
