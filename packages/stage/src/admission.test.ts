import { expect, test } from 'vitest';
import { Admission } from './admission.js';

test('admits up to the limit, and again when a call has ended', () => {
  const admission = new Admission('Draw calls', 1, new AbortController().signal);
  const first = admission.enter();
  expect(() => admission.enter()).toThrow(
    expect.objectContaining({ code: 'QUEUE_FULL', message: '1 Draw calls are open, which is the limit' }),
  );
  first[Symbol.dispose]();
  admission.enter()[Symbol.dispose]();
});

test('a drain refuses new calls and waits for the last one', async () => {
  const drain = new AbortController();
  const admission = new Admission('Draw calls', 4, drain.signal);
  const calls = [admission.enter(), admission.enter()];
  drain.abort();
  expect(() => admission.enter()).toThrow(expect.objectContaining({ code: 'DRAINING' }));
  let idle = false;
  const waited = admission.idle().then(() => {
    idle = true;
  });
  calls[0]?.[Symbol.dispose]();
  await Promise.resolve();
  expect(idle).toBe(false);
  calls[1]?.[Symbol.dispose]();
  await waited;
  expect(idle).toBe(true);
});
