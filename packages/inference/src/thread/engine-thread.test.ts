import { expect, test } from 'vitest';
import type { EchoCalls } from '../testing/echo-engine.js';
import { EngineThread } from './engine-thread.js';

// Threads run built JavaScript.
const entry = new URL('../../dist/testing/echo-engine.js', import.meta.url);
const start = (refuse: boolean) => EngineThread.start<EchoCalls>(entry, { name: 'echo', init: { refuse } });

test('answers calls, and moves the buffers that it is told to', async () => {
  const thread = await start(false);
  const numbers = new Float32Array([1, 2.5]);
  expect(await thread.call('double', numbers, [numbers.buffer])).toEqual(new Float32Array([2, 5]));
  expect(numbers.length).toBe(0);
  await thread.close();
});

test('an error of a call reaches its caller with code and delay, and the next call is answered', async () => {
  const thread = await start(false);
  await expect(thread.call('fail', 'no room')).rejects.toMatchObject({
    name: 'TesseraError',
    code: 'QUEUE_FULL',
    message: 'no room',
    options: { retryAfterMs: 7 },
  });
  expect(await thread.call('double', new Float32Array([4]))).toEqual(new Float32Array([8]));
  await thread.close();
});

test('an engine that cannot be made refuses the start with its own error', async () => {
  await expect(start(true)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: 'this engine cannot be made',
  });
});

test('a crash fails every call under way and every later one, and is told', async () => {
  const thread = await start(false);
  const calls = [thread.call('crash', undefined), thread.call('double', new Float32Array(1))];
  for (const result of await Promise.allSettled(calls)) {
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'STAGE_UNAVAILABLE' } });
  }
  expect((await thread.crashed).message).toContain('the engine broke');
  await expect(thread.call('double', new Float32Array(1))).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  await thread.close();
});

test('closing answers the calls that came before it and refuses those after', async () => {
  const thread = await start(false);
  const call = thread.call('double', new Float32Array([3]));
  const closed = thread.close();
  await expect(thread.call('double', new Float32Array(1))).rejects.toMatchObject({ code: 'DRAINING' });
  expect(await call).toEqual(new Float32Array([6]));
  await closed;
});
