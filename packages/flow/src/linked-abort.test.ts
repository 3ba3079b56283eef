import { setTimeout as later } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { linkedAbort } from './linked-abort.js';

test('it aborts by itself, or with its parent and for the same reason', () => {
  using own = linkedAbort();
  own.abort('enough');
  expect(own.signal.reason).toBe('enough');
  const parent = new AbortController();
  using linked = linkedAbort(parent.signal);
  expect(linked.signal.aborted).toBe(false);
  parent.abort('everything ends');
  expect(linked.signal.reason).toBe('everything ends');
  using late = linkedAbort(parent.signal);
  expect(late.signal.reason).toBe('everything ends');
});

test('one that went out of use hears nothing of its parent any more', () => {
  const parent = new AbortController();
  const use = () => {
    using linked = linkedAbort(parent.signal);
    return linked.signal;
  };
  const signal = use();
  parent.abort();
  expect(signal.aborted).toBe(false);
});

test('very many may wait for one: nothing warns of a leak', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  using linked = linkedAbort();
  for (let n = 0; n < 50; n++) linked.signal.addEventListener('abort', () => {}, { once: true });
  await later(1);
  process.off('warning', note);
  expect(warnings).toEqual([]);
});
