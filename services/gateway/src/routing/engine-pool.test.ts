import { EngineRoster } from '@tessera/bus';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { engineStatus } from '../testing/engine-status.js';
import { type EngineLease, EnginePool, type EnginePoolOptions, type EngineSeeker } from './engine-pool.js';

let roster: EngineRoster;
const pools: EnginePool[] = [];

beforeEach(() => {
  roster = new EngineRoster();
});
afterEach(() => {
  for (const pool of pools.splice(0)) pool.close();
});

function newPool(options: Partial<EnginePoolOptions> = {}): EnginePool {
  const pool = new EnginePool(roster, {
    waitMs: 60_000,
    expectMs: 60_000,
    retryAfterMs: () => 1234,
    random: seededRandom(1),
    ...options,
  });
  pools.push(pool);
  return pool;
}

function seeker(facts: Partial<EngineSeeker> = {}): EngineSeeker {
  return {
    avoid: new Set(),
    takeover: false,
    awaitsTiles: false,
    deadlineMs: Date.now() + 60_000,
    signal: new AbortController().signal,
    ...facts,
  };
}

/** What the promise came to, or `waiting` while it is not settled and nothing else has to happen first. */
async function stateOf(promise: Promise<EngineLease>): Promise<string> {
  const later = new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
  const outcome = await Promise.race([promise.catch((reason: Error) => reason), later]);
  if (outcome === undefined) return 'waiting';
  return outcome instanceof Error ? outcome.message : outcome.engineId;
}

test('of two engines the one with the smaller share of its slots in use is taken', async () => {
  roster.heard(engineStatus('small', { maxRunning: 2, running: 1 }));
  roster.heard(engineStatus('large', { maxRunning: 16, running: 4 }));
  const pool = newPool({ random: seededRandom(3) });
  const taken = await Promise.all([1, 2, 3, 4].map(() => pool.acquire(seeker())));
  // 1 of 2 against 4 of 16: the large one has more to do and is lighter, until it has 8.
  expect(taken.map(({ engineId }) => engineId)).toEqual(['large', 'large', 'large', 'large']);
});

test('an engine that is preferred is taken while it has a free slot, and then if it has less to do', async () => {
  roster.heard(engineStatus('idle', { maxRunning: 4 }));
  roster.heard(engineStatus('known', { maxRunning: 4, running: 2 }));
  const pool = newPool();
  const choose = async (facts: Partial<EngineSeeker> = {}) =>
    (await pool.acquire(seeker({ prefer: 'known', ...facts }))).engineId;
  expect([await choose(), await choose()]).toEqual(['known', 'known']);
  // All of its slots are in use now.
  expect(await choose()).toBe('idle');
  expect(await choose({ avoid: new Set(['known']) })).toBe('idle');
  roster.heard(engineStatus('idle', { maxRunning: 4, running: 4, waiting: 4 }));
  expect(await choose()).toBe('known');
  expect(await choose({ prefer: 'one that is gone' })).toBe('known');
});

test('an engine that is preferred and full is not taken, however much there is to do elsewhere', async () => {
  roster.heard(engineStatus('known', { running: 4, maxWaiting: 0 }));
  roster.heard(engineStatus('busy', { running: 4, waiting: 4, maxWaiting: 5 }));
  const pool = newPool();
  const choose = () => pool.acquire(seeker({ prefer: 'known' }));
  expect((await choose()).engineId).toBe('busy');
  await expect(choose()).rejects.toMatchObject({ code: 'QUEUE_FULL' });
});

test('an engine that is full by its announcement is not chosen while another is not', async () => {
  roster.heard(engineStatus('full', { running: 4, waiting: 4 }));
  roster.heard(engineStatus('free', { running: 4, waiting: 1 }));
  const pool = newPool();
  const leases = await Promise.all([1, 2, 3].map(() => pool.acquire(seeker())));
  expect(leases.map(({ engineId }) => engineId)).toEqual(['free', 'free', 'free']);
  // Our own three fill it: its next announcement has yet to say so.
  await expect(pool.acquire(seeker())).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    options: { retryAfterMs: 1234 },
  });
});

test('a lease that is given back makes room, and only once', async () => {
  roster.heard(engineStatus('one', { maxRunning: 1, maxWaiting: 0 }));
  const pool = newPool();
  const lease = await pool.acquire(seeker());
  expect(pool.outlook()).toEqual({ engines: 1, slots: 1, places: 1, load: 1, awaitingTiles: 0 });
  await expect(pool.acquire(seeker())).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  lease.release();
  lease.release();
  expect(pool.outlook().load).toBe(0);
  await pool.acquire(seeker());
  await expect(pool.acquire(seeker())).rejects.toMatchObject({ code: 'QUEUE_FULL' });
});

test('what was announced counts beside what we began since, and is not counted twice', async () => {
  roster.heard(engineStatus('one', { running: 2 }));
  const pool = newPool();
  const lease = await pool.acquire(seeker());
  expect(pool.outlook().load).toBe(3);
  roster.heard(engineStatus('one', { running: 3 }));
  expect(pool.outlook().load).toBe(3);
  // An announcement that left before our attempt arrived.
  roster.heard(engineStatus('one', { running: 0 }));
  expect(pool.outlook().load).toBe(1);
  lease.release();
  roster.heard(engineStatus('one', { running: 0 }));
  expect(pool.outlook().load).toBe(0);
});

test('a request whose visual tokens are to come is no load before they are there: an encoder that is away stops no text', async () => {
  roster.heard(engineStatus('one'));
  const pool = newPool();
  const pictures = await Promise.all(Array.from({ length: 20 }, () => pool.acquire(seeker({ awaitsTiles: true }))));
  expect(pool.outlook()).toMatchObject({ load: 0, awaitingTiles: 20 });
  await pool.acquire(seeker());
  for (const picture of pictures.slice(0, 7)) {
    picture.complete();
    picture.complete();
  }
  expect(pool.outlook().load).toBe(8);
  await expect(pool.acquire(seeker())).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  for (const picture of pictures) picture.release();
  expect(pool.outlook().load).toBe(1);
});

test('of two engines the one with fewer pictures to come is taken as well', async () => {
  roster.heard(engineStatus('one'));
  roster.heard(engineStatus('two'));
  const pool = newPool();
  const taken = [];
  for (let n = 0; n < 8; n++) taken.push((await pool.acquire(seeker({ awaitsTiles: true }))).engineId);
  expect(taken.filter((id) => id === 'one')).toHaveLength(4);
});

test('a place that is reserved counts until it is given back', () => {
  roster.heard(engineStatus('one'));
  const pool = newPool();
  const place = pool.reserve();
  expect(pool.outlook()).toMatchObject({ places: 8, load: 1 });
  place[Symbol.dispose]();
  place[Symbol.dispose]();
  expect(pool.outlook().load).toBe(0);
});

test('an engine that is gone leaves nothing in the outlook, and what it held is counted with it', async () => {
  roster.heard(engineStatus('one', { running: 2 }));
  roster.heard(engineStatus('two'));
  const pool = newPool();
  const leases = await Promise.all([1, 2, 3].map(() => pool.acquire(seeker())));
  expect(pool.outlook()).toMatchObject({ engines: 2, places: 16, load: 5 });
  roster.forget('one');
  const onTwo = leases.filter(({ engineId }) => engineId === 'two').length;
  expect(pool.outlook()).toMatchObject({ engines: 1, slots: 4, places: 8, load: onTwo });
  for (const lease of leases) lease.release();
  roster.forget('two');
  expect(pool.outlook()).toEqual({ engines: 0, slots: 0, places: 0, load: 0, awaitingTiles: 0 });
});

test('an engine that said it is full is left alone until it speaks again', async () => {
  roster.heard(engineStatus('one'));
  roster.heard(engineStatus('two'));
  const pool = newPool();
  const lease = await pool.acquire(seeker());
  lease.full();
  lease.release();
  const other = lease.engineId === 'one' ? 'two' : 'one';
  for (let n = 0; n < 4; n++) expect((await pool.acquire(seeker())).engineId).toBe(other);
  roster.heard(engineStatus(lease.engineId));
  expect((await pool.acquire(seeker({ avoid: new Set([other]) }))).engineId).toBe(lease.engineId);
});

test('a request does not go to an engine that failed it while there is another, and returns to the only one', async () => {
  roster.heard(engineStatus('one'));
  roster.heard(engineStatus('two', { running: 4, waiting: 3 }));
  const pool = newPool();
  const avoid = new Set(['one']);
  // Whether the random choices fall on it or not.
  for (let n = 0; n < 100; n++) {
    const lease = await pool.acquire(seeker({ avoid }));
    expect(lease.engineId).toBe('two');
    lease.release();
  }
  expect((await pool.acquire(seeker({ avoid }))).engineId).toBe('two');
  // Now the other one is full.
  expect((await pool.acquire(seeker({ avoid }))).engineId).toBe('one');
  roster.forget('two');
  expect((await pool.acquire(seeker({ avoid }))).engineId).toBe('one');
});

test('an engine that was lost is not offered before it announces itself again', async () => {
  roster.heard(engineStatus('one'));
  const pool = newPool();
  const lease = await pool.acquire(seeker());
  lease.lost();
  lease.release();
  const next = pool.acquire(seeker({ avoid: new Set(['one']) }));
  expect(await stateOf(next)).toBe('waiting');
  // A passing failure: it is the only engine, and speaks again.
  roster.heard(engineStatus('one'));
  expect((await next).engineId).toBe('one');
});

test('who waits for an engine gets the first that announces itself; none that drains', async () => {
  const pool = newPool();
  roster.heard(engineStatus('old', { draining: true }));
  const waiting = pool.acquire(seeker());
  roster.heard(engineStatus('old', { draining: true }));
  expect(await stateOf(waiting)).toBe('waiting');
  roster.heard(engineStatus('new'));
  expect((await waiting).engineId).toBe('new');
});

test('takeovers go before newcomers that wait, whoever came first', async () => {
  const pool = newPool();
  const newcomers = [pool.acquire(seeker()), pool.acquire(seeker())];
  const takeovers = [pool.acquire(seeker({ takeover: true })), pool.acquire(seeker({ takeover: true }))];
  roster.heard(engineStatus('one', { maxRunning: 3, maxWaiting: 0 }));
  const states = await Promise.all([...newcomers, ...takeovers].map(stateOf));
  expect(states).toEqual(['one', 'waiting', 'one', 'one']);
  (await (takeovers[0] as Promise<EngineLease>)).release();
  expect(await stateOf(newcomers[1] as Promise<EngineLease>)).toBe('one');
});

test('a takeover waits where every engine refuses it, and a newcomer does not', async () => {
  roster.heard(engineStatus('one', { running: 4, waiting: 4 }));
  const pool = newPool();
  await expect(pool.acquire(seeker())).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  // The engine is asked all the same: it may take what goes on beyond its limit.
  const lease = await pool.acquire(seeker({ takeover: true }));
  lease.full();
  lease.release();
  const again = pool.acquire(seeker({ takeover: true, avoid: new Set(['one']) }));
  expect(await stateOf(again)).toBe('waiting');
  roster.heard(engineStatus('one', { running: 4, waiting: 3 }));
  expect((await again).engineId).toBe('one');
});

test('without an engine ever seen a request is refused after the wait; with one seen lately it waits on', async () => {
  const pool = newPool({ waitMs: 1 });
  await expect(pool.acquire(seeker())).rejects.toMatchObject({
    code: 'STAGE_UNAVAILABLE',
    message: expect.stringContaining('no llm engine of this model has announced itself'),
  });
  roster.heard(engineStatus('one'));
  roster.forget('one');
  const waiting = pool.acquire(seeker());
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await stateOf(waiting)).toBe('waiting');
  roster.heard(engineStatus('two'));
  expect((await waiting).engineId).toBe('two');
});

test('a wait ends shortly before the deadline, and says what was missing', async () => {
  roster.heard(engineStatus('one'));
  roster.forget('one');
  const pool = newPool();
  const deadlineMs = Date.now() + 300;
  await expect(pool.acquire(seeker({ deadlineMs, takeover: true }))).rejects.toMatchObject({
    code: 'STAGE_UNAVAILABLE',
    message: expect.stringContaining('is not back'),
  });
});

test('who leaves while he waits takes no engine', async () => {
  const pool = newPool();
  const gone = new AbortController();
  const left = pool.acquire(seeker({ signal: gone.signal }));
  const stays = pool.acquire(seeker());
  gone.abort(new Error('left'));
  await expect(left).rejects.toThrow('left');
  roster.heard(engineStatus('one', { maxRunning: 1, maxWaiting: 0 }));
  expect((await stays).engineId).toBe('one');
});

test('the attempts on an engine that falls silent are told; those on one that did not answer see it themselves', async () => {
  roster.heard(engineStatus('hung'), 0);
  const pool = newPool();
  const lease = await pool.acquire(seeker());
  expect(lease.silence.aborted).toBe(false);
  roster.sweep(2000, 2001);
  expect(lease.silence.reason).toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  roster.heard(engineStatus('dead'));
  const other = await pool.acquire(seeker());
  other.lost();
  expect(other.silence.aborted).toBe(false);
});

test('whether any engine takes work is told at once, and then each time that it changes', () => {
  roster.heard(engineStatus('one'));
  const pool = newPool();
  const told: boolean[] = [];
  const watch = pool.watchPresence((there) => told.push(there));
  expect(told).toEqual([true]);
  roster.heard(engineStatus('two'));
  roster.forget('one');
  expect(told).toEqual([true]);
  roster.heard(engineStatus('two', { draining: true }));
  expect(told).toEqual([true, false]);
  roster.heard(engineStatus('one'));
  expect(told).toEqual([true, false, true]);
  watch[Symbol.dispose]();
  roster.forget('one');
  expect(told).toEqual([true, false, true]);
});

/** Many gateways that hear the same announcements and choose by themselves. */
class Fleet {
  readonly loads = new Map<string, number>();
  readonly pools: EnginePool[];
  private readonly rosters: EngineRoster[];

  constructor(engines: number, gateways: number) {
    for (let n = 0; n < engines; n++) this.loads.set(`engine-${n}`, 0);
    this.rosters = Array.from({ length: gateways }, () => new EngineRoster());
    this.announce();
    this.pools = this.rosters.map(
      (each, n) =>
        new EnginePool(each, { waitMs: 1, expectMs: 1, retryAfterMs: () => 1, random: seededRandom(1_000_003 * n) }),
    );
    pools.push(...this.pools);
  }

  announce(): void {
    for (const [id, load] of this.loads) {
      const facts = { running: Math.min(load, 16), waiting: Math.max(0, load - 16), maxRunning: 16, maxWaiting: 64 };
      for (const each of this.rosters) each.heard(engineStatus(id, facts));
    }
  }

  /** Requests come in between two announcements, to one gateway after the other. */
  async arrive(requests: number): Promise<void> {
    for (let n = 0; n < requests; n++) {
      const { engineId } = await (this.pools[n % this.pools.length] as EnginePool).acquire(seeker());
      this.loads.set(engineId, (this.loads.get(engineId) ?? 0) + 1);
    }
  }

  get most(): number {
    return Math.max(...this.loads.values());
  }
}

test('20 gateways and 1,000 engines between two announcements: the requests spread', async () => {
  const fleet = new Fleet(1000, 20);
  await fleet.arrive(4000);
  // 4 an engine on average. Gateways that all take the least loaded one they know of put 20 on each of the same 200.
  expect(fleet.most).toBeLessThanOrEqual(14);
  expect([...fleet.loads.values()].filter((load) => load === 0).length).toBeLessThan(60);
});

test('20 gateways and 1,000 engines over several announcements: the load evens out', async () => {
  const fleet = new Fleet(1000, 20);
  for (let round = 0; round < 8; round++) {
    await fleet.arrive(1000);
    fleet.announce();
  }
  // 8 an engine on average; by chance alone some engine gets more than 20.
  expect(fleet.most).toBeLessThanOrEqual(16);
});
