import { expect, test } from 'vitest';
import { TesseraError } from './errors.js';

test('an error is told with the field of the whole message, and so is its sentence', () => {
  const error = TesseraError.invalidField('messages[0].role', 'is missing').under('start');
  expect(error).toMatchObject({ field: 'start.messages[0].role', message: 'start.messages[0].role is missing' });
  expect(error.under('body').field).toBe('body.start.messages[0].role');
});

test('a sentence that does not begin with the field stays, and so does an error that is about none', () => {
  const cut = new TesseraError('MEDIA_CORRUPT', 'media "a" is cut', { field: 'media', retryAfterMs: 3 }).under('start');
  expect(cut).toMatchObject({ message: 'media "a" is cut', options: { field: 'start.media', retryAfterMs: 3 } });
  const other = new TesseraError('INTERNAL', 'it broke');
  expect(other.under('start')).toBe(other);
});
