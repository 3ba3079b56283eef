import { expect, test } from 'vitest';
import { anyCodePoint, type CodePoints, codePoints, codePointsOf, negated } from './code-points.js';
import { utf8Sequences } from './utf8-ranges.js';

function isAmong(points: CodePoints, point: number): boolean {
  return points.some(([from, to]) => from <= point && point <= to);
}

/** Every code point there is, and some beside the borders of what has no character. */
test.each<[string, CodePoints]>([
  ['everything', anyCodePoint],
  [
    'odd borders',
    codePoints([
      [0x41, 0x7ff],
      [0x801, 0x8ff],
      [0xfff0, 0x10003],
      [0x3fffe, 0x100001],
    ]),
  ],
  ['all but a few', negated(codePointsOf('"\\é你🍎'))],
])('%s: the sequences are those of the code points, and each leads to one only', (_what, points) => {
  const sequences = utf8Sequences(points);
  const byLength = [1, 2, 3, 4].map((length) => sequences.filter((sequence) => sequence.length === length));
  for (let point = 0; point <= 0x10ffff; point++) {
    if (point >= 0xd800 && point < 0xe000) continue;
    const bytes = Buffer.from(String.fromCodePoint(point));
    const fitting = (byLength[bytes.length - 1] ?? []).filter((sequence) =>
      sequence.every(([from, to], at) => from <= (bytes[at] as number) && (bytes[at] as number) <= to),
    );
    if (fitting.length !== (isAmong(points, point) ? 1 : 0)) expect.fail(`U+${point.toString(16)}: ${fitting.length}`);
  }
  // And they have no other bytes than characters have: as many as there are code points.
  const size = (of: CodePoints) => of.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  const texts = sequences.map((sequence) => sequence.reduce((product, [from, to]) => product * (to - from + 1), 1));
  expect(texts.reduce((sum, count) => sum + count, 0)).toBe(size(points));
});
