import { Media, type MediaPart, TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { MediaBudget, MediaIntake } from './media-intake.js';
import { readParts } from './read-parts.js';

const pauseMs = 60_000;
const intakeOf = (...names: string[]) =>
  new MediaIntake(
    names.map((name) => Media.fromPartial({ name, source: { $case: 'parts', value: {} } })),
    { itemBytes: 100, partBytes: 100 },
    new MediaBudget(1000),
  );
const part = (name: string, last: boolean): MediaPart => ({ name, data: Uint8Array.of(1), last });

async function* sent(...parts: MediaPart[]): AsyncGenerator<MediaPart> {
  yield* parts;
}

test('parts are read until every item is whole, and none behind them', async () => {
  const intake = intakeOf('a', 'b');
  const parts = sent(part('a', false), part('b', true), part('a', true), part('c', true));
  await readParts(intake, parts, pauseMs, new AbortController().signal);
  expect(intake.finish().map(({ bytes }) => bytes.length)).toEqual([2, 1]);
  expect(await parts.next()).toMatchObject({ value: { name: 'c' } });
});

test('a stream that ends too early leaves what is missing to be told', async () => {
  const intake = intakeOf('a');
  await readParts(intake, sent(part('a', false)), pauseMs, new AbortController().signal);
  expect(() => intake.finish()).toThrow('media "a" ended after 1 bytes without a part marked last');
});

test('a client that leaves a moment after its stream has ended has left, and sent nothing wrong', async () => {
  const leaving = new AbortController();
  const reading = readParts(intakeOf('a'), sent(), pauseMs, leaving.signal);
  setTimeout(() => leaving.abort(new TesseraError('CANCELLED', 'it left')), 1);
  await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
});
