import { choice, type Grammar, oneOf, optional, repeat, sequence, text } from './grammar.js';
import { fraction } from './json-text.js';

/** Numbers of 15 digits are the largest that are written. */
export const largest = 10 ** 15 - 1;

/** Whole numbers that bound others; undefined: no bound. */
export interface NumberBounds {
  readonly least: number;
  readonly most: number;
  /** Whether the bound itself is not in the range. */
  readonly leastExcluded?: boolean;
  readonly mostExcluded?: boolean;
}

/** Whole numbers from `least` to `most`, both included; undefined where there is none. */
export function integersBetween(least: number, most: number): Grammar | undefined {
  const options: Grammar[] = [];
  if (least < 0) {
    const from = Math.max(1, -most);
    const to = Math.min(largest, -least);
    if (from <= to) options.push(sequence(text('-'), choice(...digitsBetween(from, to))));
  }
  const from = Math.max(0, least);
  const to = Math.min(largest, most);
  if (from <= to) options.push(choice(...digitsBetween(from, to)));
  return options.length === 0 ? undefined : choice(...options);
}

/** Numbers with or without a fraction, no exponent; undefined where there is none. */
export function numbersBetween({ least, most, leastExcluded, mostExcluded }: NumberBounds): Grammar | undefined {
  const options: Grammar[] = [];
  if (least < 0) {
    // Below zero the bounds change places.
    const negative = magnitudes({
      least: Math.max(0, -most),
      most: -least,
      leastExcluded: most >= 0 || mostExcluded === true,
      mostExcluded: leastExcluded === true,
    });
    if (negative !== undefined) options.push(sequence(text('-'), negative));
  }
  if (most >= 0) {
    const positive = magnitudes({
      least: Math.max(0, least),
      most,
      leastExcluded: least >= 0 && leastExcluded === true,
      mostExcluded: mostExcluded === true,
    });
    if (positive !== undefined) options.push(positive);
  }
  return options.length === 0 ? undefined : choice(...options);
}

/** Numbers without a sign. */
function magnitudes({ least, most, leastExcluded, mostExcluded }: NumberBounds): Grammar | undefined {
  const to = Math.min(largest, most);
  const zeros = optional(sequence(text('.'), repeat(text('0'), 1, 15)));
  const options: Grammar[] = [];
  // From one whole number up to the next, without that one.
  const above = leastExcluded ? least + 1 : least;
  if (above < to) options.push(sequence(choice(...digitsBetween(above, to - 1)), optional(fraction)));
  if (leastExcluded && least < to) options.push(sequence(text(String(least)), fractionAboveZero));
  if (!mostExcluded && to >= above) options.push(sequence(text(String(to)), zeros));
  return options.length === 0 ? undefined : choice(...options);
}

/** A point and digits that are not all zero. */
const fractionAboveZero: Grammar = sequence(
  text('.'),
  repeat(text('0'), 0, 7),
  oneOf('123456789'),
  repeat(oneOf('0123456789'), 0, 7),
);

/** Whole numbers without a sign, cut into pieces in which the digits vary independently of each other. */
function digitsBetween(from: number, to: number): Grammar[] {
  const pieces: Grammar[] = [];
  for (let start = from; start <= to; ) {
    // The largest piece that begins here: as many trailing digits run through all values as keep it within the range.
    let size = 1;
    while (start % (size * 10) === 0 && size * 10 < 10 ** String(start).length && start + size * 10 - 1 <= to)
      size *= 10;
    // And the digit before them as far as it goes.
    const digit = Math.floor(start / size) % 10;
    const times = Math.min(9 - digit, Math.floor((to - start + 1) / size) - 1);
    const free = Math.round(Math.log10(size));
    const digits = String(start);
    const leading = digits.slice(0, digits.length - free - 1);
    const varying = Array.from({ length: times + 1 }, (_, n) => digit + n).join('');
    pieces.push(sequence(text(leading), oneOf(varying), repeat(oneOf('0123456789'), free, free)));
    start += size * (times + 1);
  }
  return pieces;
}
