import type { ForeignEngine } from '@tessera/bus';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ForeignEngines } from './foreign-engines.js';

const own = { version: 'v2', revision: 'r1' };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A watch over what is there at each look; the last look's is there from then on. */
function watched(...looks: { engines?: number; foreign: ForeignEngine[] | Error }[]) {
  const foreign = new ForeignEngines(own);
  const told: string[] = [];
  const stop = new AbortController();
  let now = looks[0];
  let heard = 0;
  const bus = {
    async hearForeignEngines() {
      heard++;
      if (now?.foreign instanceof Error) throw now.foreign;
      return now?.foreign ?? [];
    },
  };
  const roster = {
    get size() {
      return now?.engines ?? 0;
    },
  };
  const ended = foreign.watch(bus, roster, (words) => told.push(words), stop.signal);
  return {
    foreign,
    told,
    looks: async () => {
      const words: string[] = [];
      for (const look of looks) {
        now = look;
        await vi.advanceTimersByTimeAsync(2000);
        words.push(foreign.inWords);
      }
      return words;
    },
    heard: () => heard,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

const other = { version: 'v2', revision: 'r2' };
const older = { version: 'v1', revision: 'r1' };
const ofOlder = expect.stringMatching(/^engines of revision r1 on version v1 of the bus are there/);
const ofOther = expect.stringMatching(/^engines of revision r2 are there.* revision r1 on version v2/);

test('engines of other models or releases are described, those of another version of the bus as such', async () => {
  await using watch = watched({ foreign: [other, older] });
  const [words] = await watch.looks();
  expect(words).toContain('engines of revision r1 on version v1 of the bus, revision r2 are there');
  expect(words).toContain('this gateway serves revision r1 on version v2');
});

test('they are told when they are others than before, and not told again while they stay', async () => {
  await using watch = watched({ foreign: [other] }, { foreign: [other] }, { foreign: [] }, { foreign: [older] });
  expect(await watch.looks()).toEqual([ofOther, ofOther, '', ofOlder]);
  expect(watch.told).toEqual([ofOther, ofOlder]);
});

test('nobody listens for them while an engine of its own is there; what cannot be heard is none', async () => {
  await using watch = watched({ engines: 1, foreign: [other] });
  expect(await watch.looks()).toEqual(['']);
  expect([watch.heard(), watch.told]).toEqual([0, []]);
  await using away = watched({ foreign: new Error('NATS is away') }, { foreign: [other] });
  expect(await away.looks()).toEqual(['', ofOther]);
});

test('an engine of its own that comes while others are listened for ends all talk of them', async () => {
  const foreign = new ForeignEngines(own);
  const told: string[] = [];
  const stop = new AbortController();
  const roster = { size: 0 };
  const bus = {
    async hearForeignEngines() {
      roster.size = 1;
      return [other];
    },
  };
  const ended = foreign.watch(bus, roster, (words) => told.push(words), stop.signal);
  await vi.advanceTimersByTimeAsync(1);
  expect([roster.size, foreign.inWords, told]).toEqual([1, '', []]);
  stop.abort();
  await ended;
});
