import { expect, test } from 'vitest';
import { RestartPauses } from './restart-pauses.js';

/** What a gateway's requests wait for an engine, by default. */
const engineWaitMs = 10_000;

test('who ran well is started again at once; quick failures wait longer each, always less than a request does', () => {
  const pauses = new RestartPauses();
  expect(pauses.next(3_600_000)).toBe(0);
  const growing: number[] = [];
  for (let pause = pauses.next(0); pause !== undefined; pause = pauses.next(0)) growing.push(pause);
  expect(growing).toEqual(growing.toSorted((a, b) => a - b));
  expect(growing[0]).toBeGreaterThan(0);
  expect(growing.at(-1)).toBeLessThan(engineWaitMs / 2);
  expect(growing.length).toBeGreaterThan(5);
});

test('to run well makes up for earlier failures', () => {
  const pauses = new RestartPauses();
  for (let failure = 0; failure < 5; failure++) pauses.next(0);
  expect(pauses.failures).toBe(5);
  expect(pauses.next(60_000)).toBe(0);
  expect(pauses.failures).toBe(1);
});
