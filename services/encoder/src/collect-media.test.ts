import { type EncodeRequest, maxPartBytes } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { collectMedia } from './collect-media.js';

async function* parts(...sizes: number[]): AsyncGenerator<EncodeRequest> {
  for (const [at, size] of sizes.entries()) {
    yield { mediaPart: { name: 'a', data: Buffer.alloc(size, at), last: at === sizes.length - 1 } };
  }
}

test('an item of exactly the byte limit is taken, one byte more is refused with the limit', async () => {
  expect(await collectMedia(parts(60, 40), 100)).toHaveLength(100);
  await expect(collectMedia(parts(60, 41), 100)).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: 'the media has more than 100 bytes, which is the limit',
  });
});

test('a part of exactly the limit of a part is taken, one byte more is refused with the limit', async () => {
  expect(await collectMedia(parts(maxPartBytes), 2 * maxPartBytes)).toHaveLength(maxPartBytes);
  await expect(collectMedia(parts(maxPartBytes + 1), 2 * maxPartBytes)).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    message: 'a media part has 524289 bytes; the limit is 524288',
  });
});
