/** Ranges of code points, both ends included, in order and apart from each other. Surrogates are never among them. */
export type CodePoints = readonly (readonly [from: number, to: number])[];

const last = 0x10ffff;
const surrogates = [0xd800, 0xdfff] as const;

/** All that a text can hold. */
export const anyCodePoint: CodePoints = [
  [0, surrogates[0] - 1],
  [surrogates[1] + 1, last],
];

/** Any ranges, in any order, as a set. */
export function codePoints(ranges: readonly (readonly [number, number])[]): CodePoints {
  const sorted = [...ranges].sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [from, to] of sorted) {
    const before = joined.at(-1);
    if (before !== undefined && from <= before[1] + 1) before[1] = Math.max(before[1], to);
    else joined.push([from, to]);
  }
  return without(joined, [surrogates]);
}

/** The code points of `text`. */
export function codePointsOf(text: string): CodePoints {
  return codePoints(
    [...text].map((character) => [character.codePointAt(0) as number, character.codePointAt(0) as number]),
  );
}

/** Those of `points` that are not in `removed`; both are in order. */
export function without(points: CodePoints, removed: CodePoints): CodePoints {
  return intersection(points, complement(removed));
}

/** Those that are in both. */
export function intersection(a: CodePoints, b: CodePoints): CodePoints {
  const common: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [fromA, toA] = a[i] as readonly [number, number];
    const [fromB, toB] = b[j] as readonly [number, number];
    const from = Math.max(fromA, fromB);
    const to = Math.min(toA, toB);
    if (from <= to) common.push([from, to]);
    if (toA < toB) i++;
    else j++;
  }
  return common;
}

/** What a negated class of a regular expression holds. */
export function negated(points: CodePoints): CodePoints {
  return without(anyCodePoint, points);
}

function complement(points: CodePoints): CodePoints {
  const gaps: [number, number][] = [];
  let next = 0;
  for (const [from, to] of points) {
    if (from > next) gaps.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= last) gaps.push([next, last]);
  return gaps;
}
