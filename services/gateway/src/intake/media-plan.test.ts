import { createHash } from 'node:crypto';

import { defaultMediaLimits } from '@tessera/media';
import { Media, SegmentRole, TesseraError } from '@tessera/protocol';
import sharp from 'sharp';
import { beforeAll, expect, test } from 'vitest';
import { tiledPictures } from '../testing/tiled-pictures.js';
import type { ReceivedMedia } from './media-intake.js';
import { nameMedia, type PlannedItem, planMedia } from './media-plan.js';

const model = tiledPictures(9);

let png: Uint8Array;
let jpeg: Uint8Array;
beforeAll(async () => {
  const picture = sharp({ create: { width: 64, height: 32, channels: 3, background: 'red' } });
  png = await picture.clone().png().toBuffer();
  jpeg = await picture.clone().jpeg().toBuffer();
});

function received(name: string, bytes: Uint8Array, mimeType = ''): ReceivedMedia {
  const digest = createHash('sha256').update(bytes).digest('hex');
  return { declaration: Media.fromPartial({ name, mimeType }), bytes, digest };
}

test('media are planned by their headers; names with equal bytes share one item', async () => {
  const { items, itemOf } = await planMedia(
    [received('a', png), received('again', png), received('b', jpeg)],
    model,
    defaultMediaLimits,
  );
  expect([...itemOf]).toEqual([
    ['a', 0],
    ['again', 0],
    ['b', 1],
  ]);
  const { THUMBNAIL, PART } = SegmentRole;
  const segments = [THUMBNAIL, PART, PART].map((role) => ({ role, tokenCount: 9 }));
  expect(items).toMatchObject([
    { item: 0, declared: 0, name: 'a', tiles: 3, segments },
    { item: 1, declared: 2, name: 'b', tiles: 3, segments },
  ]);
});

test.each(['image/png', 'IMAGE/PNG; q=1', ''])('a type that the bytes have is taken: %j', async (mimeType) => {
  await expect(planMedia([received('a', png, mimeType)], model, defaultMediaLimits)).resolves.toBeDefined();
});

test('a type that the bytes have not is refused, also of bytes that are known already', async () => {
  const wrong = [received('a', png, 'image/png'), received('b', png, 'image/jpeg')];
  await expect(planMedia(wrong, model, defaultMediaLimits)).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    message: 'media[1].mime_type is "image/jpeg", but the bytes are image/png',
  });
  await expect(planMedia([received('a', jpeg, 'image/jpg')], model, defaultMediaLimits)).resolves.toBeDefined();
});

test('what is no picture is refused by its name, and a model of words takes none', async () => {
  const bad = [received('a', png), received('bad "one"', Buffer.from('no picture'))];
  await expect(planMedia(bad, model, defaultMediaLimits)).rejects.toMatchObject({
    message: expect.stringContaining('media "bad \\"one\\"":'),
    options: { field: 'media[1]' },
  });
  await expect(planMedia([received('a', png)], undefined, defaultMediaLimits)).rejects.toMatchObject({
    code: 'UNSUPPORTED',
  });
});

const items = [
  { name: 'first "photo"', declared: 0 },
  { name: 'second', declared: 2 },
] as PlannedItem[];

test.each([
  [0, 'media[0]', 'media "first \\"photo\\"": it is damaged'],
  [1, 'media[2]', 'media "second": it is damaged'],
])('an error about item %i says the name that the request has for it', (item, field, message) => {
  const cause = new Error('the decoder');
  const error = new TesseraError('MEDIA_CORRUPT', 'it is damaged', { cause, field: `media[${item}]` });
  expect(nameMedia(error, items)).toMatchObject({ code: 'MEDIA_CORRUPT', message, options: { cause, field } });
});

test.each([undefined, 'media[2]', 'media[0].segments[1]', 'text.max_tokens'])(
  'an error about %s stays as it is',
  (field) => {
    const error = new TesseraError('REQUEST_INVALID', 'it is wrong', { field });
    expect(nameMedia(error, items)).toBe(error);
  },
);
