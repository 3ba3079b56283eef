import { deferred } from '@tessera/testing/async/deferred';
import { expect, test } from 'vitest';
import { Readiness } from './readiness.js';

test('what is waited for is named, in the order of what is missing', async () => {
  const readiness = new Readiness();
  const { promise, resolve: loaded } = deferred();
  const loading = readiness.during('the model to be loaded', promise);
  expect(readiness.report().text).toBe('not ready: starting, waiting for the model to be loaded');
  loaded();
  await loading;
  expect(readiness.report().text).toBe('not ready: starting');
  let alive = true;
  readiness.require({ what: 'an engine', holds: () => alive });
  readiness.require({ what: 'a bus', holds: () => alive, onlyForJobs: true });
  readiness.phase = 'serving';
  expect(readiness.report()).toEqual({ ready: true, text: 'ready' });
  alive = false;
  expect(readiness.report()).toEqual({ ready: false, text: 'not ready: waiting for an engine and a bus' });
  expect(readiness.answersCalls).toBe(false);
  readiness.phase = 'draining';
  expect(await readiness.ask()).toEqual({ ready: false, text: 'not ready: draining' });
});

test('a look that hangs does not keep the answer', async () => {
  const readiness = new Readiness();
  let looks = 0;
  const look = () => {
    looks++;
    return new Promise<void>(() => undefined);
  };
  readiness.require({ what: 'a bus', holds: () => true, look });
  readiness.phase = 'serving';
  expect(await Promise.all([readiness.ask(), readiness.ask()])).toEqual(Array(2).fill({ ready: true, text: 'ready' }));
  expect(looks).toBe(1);
});
