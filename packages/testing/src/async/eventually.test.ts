import { expect, test } from 'vitest';
import { eventually } from './eventually.js';

test('it waits until the check holds, and a check that throws does not hold yet', async () => {
  let calls = 0;
  await eventually(() => {
    calls++;
    if (calls === 1) throw new Error('not up');
    return calls === 3;
  }, 'the third call');
  expect(calls).toBe(3);
});

test('what never happens is named, with what the last check threw', async () => {
  const trouble = new Error('still not up');
  const failing = async (): Promise<boolean> => {
    throw trouble;
  };
  await expect(eventually(failing, 'it is up', { patienceMs: 0 })).rejects.toMatchObject({
    message: 'never happened: it is up',
    cause: trouble,
  });
  await expect(eventually(() => false, 'it is up', { patienceMs: 0 })).rejects.toMatchObject({ cause: undefined });
});
