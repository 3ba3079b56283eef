import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { abortable, sleep } from './abort.js';
import { remainingMs, signalWithDeadline } from './deadline.js';

const reason = new TesseraError('CANCELLED', 'enough');

test('what remains is never negative', () => {
  expect(remainingMs(1500, 1000)).toBe(500);
  expect(remainingMs(500, 1000)).toBe(0);
});

test('a signal aborts at its deadline, for DEADLINE_EXCEEDED', async () => {
  using late = signalWithDeadline(undefined, Date.now() - 1);
  expect(late.signal.reason).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  using soon = signalWithDeadline(undefined, Date.now() + 5);
  await expect(sleep(60_000, soon.signal)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});

test('a signal aborts with its parent, for the same reason; a deadline too far for a timer never fires', () => {
  const parent = new AbortController();
  using child = signalWithDeadline(parent.signal, Number.POSITIVE_INFINITY);
  expect(child.signal.aborted).toBe(false);
  parent.abort(reason);
  expect(child.signal.reason).toBe(reason);
  using born = signalWithDeadline(parent.signal, Date.now() + 60_000);
  expect(born.signal.reason).toBe(reason);
});

test('once disposed of, a signal aborts no more', () => {
  const parent = new AbortController();
  const child = signalWithDeadline(parent.signal, Date.now() + 60_000);
  child[Symbol.dispose]();
  parent.abort(reason);
  expect(child.signal.aborted).toBe(false);
});

test('abortable gives the value, or the reason if the signal is first', async () => {
  const controller = new AbortController();
  expect(await abortable(Promise.resolve(7), controller.signal)).toBe(7);
  const waiting = abortable(new Promise(() => {}), controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await expect(abortable(Promise.reject(new Error('unheard')), controller.signal)).rejects.toBe(reason);
});
