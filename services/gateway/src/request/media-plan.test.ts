import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { nameMedia } from './media-plan.js';

const itemOf = new Map([
  ['first "photo"', 0],
  ['second', 1],
  ['second again', 1],
]);

test.each([
  [0, 'media_id "first \\"photo\\"": it is damaged'],
  [1, 'media_id "second": it is damaged'],
])('an error about item %i says the name that the request has for it', (item, message) => {
  const cause = new Error('the decoder');
  const error = new TesseraError('MEDIA_CORRUPT', 'it is damaged', { cause, field: `media[${item}]` });
  expect(nameMedia(error, itemOf)).toMatchObject({
    code: 'MEDIA_CORRUPT',
    message,
    options: { cause, field: 'media_part.data' },
  });
});

test.each([undefined, 'media[2]', 'media[0].tiles[1]', 'text.max_tokens'])(
  'an error about %s stays as it is',
  (field) => {
    const error = new TesseraError('REQUEST_INVALID', 'it is wrong', { field });
    expect(nameMedia(error, itemOf)).toBe(error);
  },
);
