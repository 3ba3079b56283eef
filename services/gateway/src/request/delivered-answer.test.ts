import type { MediaEvent } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { DeliveredAnswer } from './delivered-answer.js';

function progress(drawing: number, sequence: number): MediaEvent {
  const event = { $case: 'progress' as const, value: { drawing, step: sequence + 1, steps: 9 } };
  return { key: { requestId: 'r', attempt: 1, item: drawing }, event, sequence, timing: undefined };
}

function part(drawing: number, sequence: number, last: boolean): MediaEvent {
  const value = { drawing, data: new Uint8Array(1), last, mimeType: 'image/png' };
  return {
    key: { requestId: 'r', attempt: 1, item: drawing },
    event: { $case: 'picturePart', value },
    sequence,
    timing: undefined,
  };
}

/** Tokens 1 2, then 3 that asks for a drawing, then 4, then 5 that asks for another. */
function withTwoDrawings(): DeliveredAnswer {
  const answer = new DeliveredAnswer();
  answer.takeTokens([1, 2]);
  answer.takeQueuedDrawing(0);
  answer.takeTokens([3]);
  answer.takeTokens([4]);
  answer.takeQueuedDrawing(1);
  answer.takeTokens([5]);
  return answer;
}

test('an engine goes on after what was delivered', () => {
  const answer = withTwoDrawings();
  expect(answer.resume()).toEqual({ deliveredTokenIds: [1, 2, 3, 4, 5], queuedDrawings: 2 });
  expect(answer.takeTokens([6])).toBe(true);
  expect(answer.resume().deliveredTokenIds).toEqual([1, 2, 3, 4, 5, 6]);
});

test('events of a drawing are new once, whoever makes it', () => {
  const answer = withTwoDrawings();
  expect(
    [progress(0, 0), progress(0, 1), progress(0, 0), progress(0, 1)].map((e) => answer.takeDrawingEvent(e)),
  ).toEqual([true, true, false, false]);
  expect(answer.takeDrawingEvent(part(0, 2, true))).toBe(true);
  expect(answer.takeDrawingEvent(part(0, 2, true))).toBe(false);
  expect(answer.drawings).toBe(1);
  expect(answer.drawingsDue).toBe(true);
});

test('after a loss an engine goes back to the first drawing that is due, and what it repeats is not new', () => {
  const answer = withTwoDrawings();
  answer.takeDrawingEvent(part(0, 0, true));
  expect(answer.resumeBeforeDrawing()).toEqual({ deliveredTokenIds: [1, 2, 3, 4], queuedDrawings: 1 });
  answer.takeQueuedDrawing(1);
  expect(answer.takeTokens([5])).toBe(false);
  expect(answer.takeTokens([6])).toBe(true);
  expect(answer.resumeBeforeDrawing()).toEqual({ deliveredTokenIds: [1, 2, 3, 4], queuedDrawings: 1 });
});

test('when a later drawing was done first, both are queued again, and the client has each once', () => {
  const answer = withTwoDrawings();
  answer.takeDrawingEvent(part(1, 0, true));
  expect(answer.resumeBeforeDrawing()).toEqual({ deliveredTokenIds: [1, 2], queuedDrawings: 0 });
  expect(answer.takeDrawingEvent(part(1, 0, true))).toBe(false);
  expect(answer.takeDrawingEvent(part(0, 0, true))).toBe(true);
  expect(answer.drawingsDue).toBe(false);
});

test('an engine that writes something else than before is at fault', () => {
  const answer = withTwoDrawings();
  answer.resumeBeforeDrawing();
  expect(() => answer.takeTokens([7])).toThrow('wrote other tokens');
});

test('a drawing that the client has in part is not made again', () => {
  const answer = withTwoDrawings();
  answer.takeDrawingEvent(part(0, 0, false));
  expect(() => answer.resumeBeforeDrawing()).toThrow('of which a part was delivered');
});
