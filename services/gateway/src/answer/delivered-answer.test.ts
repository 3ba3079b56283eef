import { type DrawingEvent, FinishReason } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { DeliveredAnswer } from './delivered-answer.js';

function progress(drawing: number, sequence: number): DrawingEvent {
  const event = { $case: 'progress' as const, value: { step: sequence + 1, steps: 9 } };
  return { key: { requestId: 'r', attempt: 1, item: drawing }, event, sequence, timing: undefined };
}

function part(drawing: number, sequence: number, last: boolean): DrawingEvent {
  const value = { data: new Uint8Array(1), last, mimeType: 'image/png' };
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
  const whole = { deliveredTokenIds: [1, 2, 3, 4, 5], queuedDrawings: 2, isComplete: false };
  expect(answer.resume()).toEqual(whole);
  answer.takeTokens([6]);
  expect(answer.resume()).toEqual({ ...whole, deliveredTokenIds: [1, 2, 3, 4, 5, 6] });
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

test('after a loss the first drawing that is due is queued again, and no delivered token is written again', () => {
  const answer = withTwoDrawings();
  answer.takeDrawingEvent(part(0, 0, true));
  const lost = { deliveredTokenIds: [1, 2, 3, 4, 5], queuedDrawings: 1, isComplete: false };
  expect(answer.resumeWithLostDrawings()).toEqual(lost);
  // An engine that ends before it has queued the drawing leaves that to the next one.
  expect(answer.resume()).toEqual(lost);
  answer.takeQueuedDrawing(1);
  expect(answer.drawingsDue).toBe(true);
  expect(answer.resume()).toEqual({ ...lost, queuedDrawings: 2 });
  expect(answer.resumeWithLostDrawings()).toEqual(lost);
});

test('when a later drawing was done first, both are queued again, and the client has each once', () => {
  const answer = withTwoDrawings();
  answer.takeDrawingEvent(part(1, 0, true));
  expect(answer.resumeWithLostDrawings()).toMatchObject({ queuedDrawings: 0 });
  answer.takeQueuedDrawing(0);
  expect(answer.drawingsDue).toBe(true);
  answer.takeQueuedDrawing(1);
  expect(answer.takeDrawingEvent(part(1, 0, true))).toBe(false);
  expect(answer.takeDrawingEvent(part(0, 0, true))).toBe(true);
  expect(answer.drawingsDue).toBe(false);
});

test('a drawing that was queued, and whose token was lost with its engine, is left to the next engine', () => {
  const answer = new DeliveredAnswer();
  answer.takeTokens([1, 2]);
  answer.takeQueuedDrawing(0);
  expect(answer.resumeWithLostDrawings()).toEqual({ deliveredTokenIds: [1, 2], queuedDrawings: 0, isComplete: false });
  expect(answer.drawingsDue).toBe(false);
});

test('a text that has its end keeps it, whatever a later attempt says', () => {
  const answer = withTwoDrawings();
  const end = { reason: FinishReason.END, tokenCount: 5 };
  expect(answer.takeEnd(end)).toBe(true);
  expect(answer.resumeWithLostDrawings().isComplete).toBe(true);
  expect(answer.takeEnd({ reason: FinishReason.LENGTH, tokenCount: 5 })).toBe(false);
  expect(answer.end).toBe(end);
});

test('a drawing that the client has in part is not made again', () => {
  const answer = withTwoDrawings();
  answer.takeDrawingEvent(part(0, 0, false));
  expect(() => answer.resumeWithLostDrawings()).toThrow('of which a part was delivered');
});
