import { tensor } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { encodePng } from './encode-png.js';
import { native } from './native.js';

test('values from -1 to 1 become 0 to 255, rounded; beyond is clamped; planes become pixels', async () => {
  const picture = tensor('float32', [3, 1, 3], Float32Array.from([-1, 0, 1, -7, 0.5, 9, -0.999, 0.004, 0.996]));
  const { data, info } = await native(await encodePng(picture))
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect(info).toMatchObject({ format: 'raw', width: 3, height: 1, channels: 3 });
  expect([...data]).toEqual([0, 0, 0, 128, 191, 128, 255, 255, 254]);
});

test.each([
  ['one channel', tensor('float32', [1, 2, 2], new Float32Array(4))],
  ['a batch', tensor('float32', [1, 3, 1, 1], new Float32Array(3))],
  ['no rows', tensor('float32', [3, 0, 2], new Float32Array(0))],
  ['a value that is not a number', tensor('float32', [3, 1, 1], Float32Array.from([0, Number.NaN, 0]))],
])('%s is TENSOR_INVALID', async (_, picture) => {
  await expect(encodePng(picture)).rejects.toMatchObject({ code: 'TENSOR_INVALID' });
});
