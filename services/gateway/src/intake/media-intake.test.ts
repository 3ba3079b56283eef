import { Media, Modality, TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { MediaBudget, MediaIntake } from './media-intake.js';

const part = (size: number, last = false) => ({ name: 'a', data: Buffer.alloc(size), last });
const declared = (rest: Partial<Media> = {}): Media =>
  Media.fromPartial({ name: 'a', source: { $case: 'parts', value: {} }, ...(rest as object) });
const intakeOf = (budget = new MediaBudget(1000)) =>
  new MediaIntake([declared()], { itemBytes: 100, partBytes: 60 }, budget);

test('an item of exactly the byte limit is taken, one byte more is refused with the limit', () => {
  const whole = intakeOf();
  whole.add(part(60));
  whole.add(part(40, true));
  expect(whole.finish()[0]?.bytes).toHaveLength(100);

  const more = intakeOf();
  more.add(part(60));
  expect(() => more.add(part(41, true))).toThrow('media "a" has more than 100 bytes, the limit of one media item');
});

test('a part of exactly the limit of a part is taken, one byte more is refused with the limit', () => {
  expect(() => intakeOf().add(part(60))).not.toThrow();
  expect(() => intakeOf().add(part(61))).toThrow('a part of media "a" has 61 bytes; the limit of one part is 60');
});

test('requests together may hold exactly the budget, and have it back when they end', () => {
  const budget = new MediaBudget(100);
  const [first, second] = [intakeOf(budget), intakeOf(budget)];
  first.add(part(60));
  second.add(part(40));
  expect(() => second.add(part(1))).toThrow('the gateway holds 100 bytes of media for requests in flight');
  first.release();
  expect(budget.usedBytes).toBe(40);
  second.add(part(60));
  second.release();
  expect(budget.usedBytes).toBe(0);
});

const limits = { itemBytes: 100, partBytes: 60 };
const inline = (bytes: number): Partial<Media> => ({ source: { $case: 'inline', value: new Uint8Array(bytes) } });

test('bytes that come with the declaration need no part, are of the budget, and take none', () => {
  const budget = new MediaBudget(100);
  const intake = new MediaIntake([declared(inline(70))], limits, budget);
  expect(intake.complete).toBe(false);
  intake.takeInline();
  expect(intake.complete).toBe(true);
  expect(budget.usedBytes).toBe(70);
  expect(() => intake.add(part(1))).toThrow('media "a", whose bytes are not to come in parts');
  expect(intake.finish()).toMatchObject([{ declaration: { name: 'a' } }]);
  intake.release();
  expect(budget.usedBytes).toBe(0);
});

test('an item that has not as many bytes as it was declared with is refused', () => {
  const intake = new MediaIntake([declared({ sizeBytes: 30n })], limits, new MediaBudget(1000));
  intake.add(part(29, true));
  expect(() => intake.finish()).toThrow('media[0].size_bytes is 30, but 29 bytes came');
});

test('an item that never comes, or never ends, is named', () => {
  const never = intakeOf();
  expect(() => never.finish()).toThrow(
    expect.objectContaining({ code: 'MEDIA_MISSING', options: { field: 'media[0]' } }),
  );
  never.add(part(3));
  expect(() => never.finish()).toThrow('media "a" ended after 3 bytes without a part marked last');
});

test('a part of what is not declared is refused', () => {
  expect(() => intakeOf().add({ ...part(1), name: 'b' })).toThrow('media "b", which is not declared');
});

test('a part after the last one of its item is refused, though another item is still to come', () => {
  const intake = new MediaIntake([declared(), declared({ name: 'b' })], limits, new MediaBudget(1000));
  intake.add(part(3, true));
  expect(intake.complete).toBe(false);
  expect(() => intake.add(part(1))).toThrow('a part was sent for media "a" after its last part');
});

const uploaded =
  (size: number, read = async () => new Uint8Array(size)) =>
  async () => ({
    modality: Modality.IMAGE,
    mimeType: 'image/png',
    expiresAtMs: Number.POSITIVE_INFINITY,
    size,
    read,
  });
const named = declared({ source: { $case: 'digest', value: 'sha256:00ff' } });
const { signal } = new AbortController();

test('an upload of exactly the byte limit is taken by its digest, and is of the budget before it is read', async () => {
  const budget = new MediaBudget(100);
  const intake = new MediaIntake([named], limits, budget);
  const asked: string[] = [];
  let usedAtRead = 0;
  const find = uploaded(100, async () => {
    usedAtRead = budget.usedBytes;
    return new Uint8Array(100);
  });
  await intake.takeUploads((digest) => {
    asked.push(digest);
    return find();
  }, signal);
  expect([asked, usedAtRead, intake.complete]).toEqual([['00ff'], 100, true]);
  expect(intake.finish()[0]?.bytes).toHaveLength(100);
});

test.each([
  ['is larger than an item may be', uploaded(101), 'MEDIA_TOO_LARGE'],
  ['is not there', async () => undefined, 'MEDIA_MISSING'],
  [
    'cannot be read',
    uploaded(7, () => Promise.reject(new TesseraError('STAGE_UNAVAILABLE', 'away'))),
    'STAGE_UNAVAILABLE',
  ],
])('an upload that %s is refused, by the place where it is named', async (_, find, code) => {
  const intake = new MediaIntake([declared(inline(1)), { ...named, name: 'b' }], limits, new MediaBudget(1000));
  await expect(intake.takeUploads(find, signal)).rejects.toMatchObject({ code, options: { field: 'media[1].digest' } });
});
