import type { CodePoints } from './code-points.js';

/** Ranges of the bytes of a character, in order. */
export type ByteSequence = readonly (readonly [from: number, to: number])[];

/** The last code points of one, two, three and four bytes. */
const lastOfLength = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/** The byte sequences of UTF-8 that stand for exactly these code points. */
export function utf8Sequences(points: CodePoints): ByteSequence[] {
  const sequences: ByteSequence[] = [];
  for (const [from, to] of points) split(from, to, sequences);
  return sequences;
}

/** Cuts a range until all bytes of a piece vary independently of each other. */
function split(from: number, to: number, into: ByteSequence[]): void {
  if (from > to) return;
  for (const limit of lastOfLength) {
    if (from <= limit && limit < to) {
      split(from, limit, into);
      split(limit + 1, to, into);
      return;
    }
  }
  // The bytes below the highest one that differs must span all that they can.
  for (let bits = 6; bits <= 18; bits += 6) {
    const mask = (1 << bits) - 1;
    if ((from & ~mask) === (to & ~mask)) break;
    if ((from & mask) !== 0) {
      split(from, from | mask, into);
      split((from | mask) + 1, to, into);
      return;
    }
    if ((to & mask) !== mask) {
      split(from, (to & ~mask) - 1, into);
      split(to & ~mask, to, into);
      return;
    }
  }
  const first = bytesOf(from);
  const second = bytesOf(to);
  into.push(first.map((byte, at) => [byte, second[at] as number] as const));
}

function bytesOf(point: number): number[] {
  if (point <= 0x7f) return [point];
  if (point <= 0x7ff) return [0xc0 | (point >> 6), 0x80 | (point & 0x3f)];
  if (point <= 0xffff) return [0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f)];
  return [0xf0 | (point >> 18), 0x80 | ((point >> 12) & 0x3f), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f)];
}
