import type { JobKind } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { QueueAttendance } from './queue-attendance.js';

const none: ReadonlySet<JobKind> = new Set();
const encode: ReadonlySet<JobKind> = new Set(['encode']);

test('a queue counts as unattended when nobody was there twice in a row, and as attended at once', () => {
  const attendance = new QueueAttendance();
  let changes = 0;
  attendance.onChange(() => changes++);
  attendance.sampled(encode);
  expect([attendance.isUnattended('encode'), attendance.isComplete, changes]).toEqual([false, true, 0]);
  attendance.sampled(none);
  attendance.sampled(encode);
  expect(attendance.isUnattended('encode')).toBe(false);
  attendance.sampled(encode);
  attendance.sampled(encode);
  expect([attendance.isUnattended('encode'), attendance.isComplete, changes]).toEqual([true, false, 1]);
  expect(attendance.isUnattended('connect')).toBe(false);
  attendance.sampled(none);
  expect([attendance.isUnattended('encode'), attendance.isComplete, changes]).toEqual([false, true, 2]);
});
