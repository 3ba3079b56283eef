import {
  anyCodePoint,
  type CodePoints,
  codePoints,
  codePointsOf,
  intersection,
  negated,
  without,
} from './code-points.js';
import { character, choice, type Grammar, oneOf, optional, repeat, sequence, shared, text } from './grammar.js';

/**
 * White space between the parts of a value: none, a blank, or a new line and its indentation. Without a bound a model may
 * write white space for ever.
 */
export const whitespace: Grammar = shared(
  choice(text(''), text(' '), sequence(text('\n'), repeat(oneOf(' \t'), 0, 40))),
);

/** Characters that a string may hold only as escapes. */
const escapedOnly = codePoints([
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
]);
const plainCharacters = negated(escapedOnly);
const hexDigit = oneOf('0123456789abcdefABCDEF');

/** A character of a string, as any JSON may write it; halves of surrogate pairs are not written as escapes. */
export const anyStringCharacter: Grammar = choice(
  character(plainCharacters),
  sequence(
    text('\\'),
    choice(
      oneOf('"\\/bfnrt'),
      sequence(
        text('u'),
        choice(
          sequence(oneOf('0123456789abcefABCEF'), hexDigit, hexDigit, hexDigit),
          sequence(oneOf('dD'), oneOf('01234567'), hexDigit, hexDigit),
        ),
      ),
    ),
  ),
);

/** The characters of a set in a string, each in the one way in which JSON.stringify writes it. */
function canonicalCharacters(points: CodePoints): Grammar {
  const escapes = intersection(points, escapedOnly).flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, at) => text(canonical(String.fromCodePoint(from + at)))),
  );
  return choice(character(without(points, escapedOnly)), ...escapes);
}

/** A text as it stands within the quotes of a JSON string. */
function canonical(value: string): string {
  return JSON.stringify(value).slice(1, -1);
}

/** A grammar over the characters of a text as one over those of a JSON string of that text. */
export function inString(grammar: Grammar): Grammar {
  switch (grammar.type) {
    case 'character':
      return canonicalCharacters(grammar.points);
    case 'text':
      return text(canonical(grammar.text));
    case 'sequence':
      return { ...grammar, items: grammar.items.map(inString) };
    case 'choice':
      return { ...grammar, options: grammar.options.map(inString) };
    case 'repeat':
      return { ...grammar, item: inString(grammar.item) };
    default:
      // Regular expressions have neither lists nor rules.
      return grammar;
  }
}

export const quoted = (inside: Grammar): Grammar => sequence(text('"'), inside, text('"'));

/** The rest of a key that begins unlike all that it must not be. */
const restOfKey = shared(repeat(canonicalCharacters(anyCodePoint), 0));

/** What stands in the quotes of a key that is none of these. */
export function keyOtherThan(names: readonly string[]): Grammar {
  const byFirst = new Map<string, string[]>();
  let mayEnd = true;
  for (const name of names) {
    const [first, ...rest] = [...name];
    if (first === undefined) mayEnd = false;
    else byFirst.set(first, [...(byFirst.get(first) ?? []), rest.join('')]);
  }
  const otherFirst = negated(codePointsOf([...byFirst.keys()].join('')));
  return choice(
    ...(mayEnd ? [text('')] : []),
    sequence(canonicalCharacters(otherFirst), restOfKey),
    ...[...byFirst].map(([first, rests]) => sequence(text(canonical(first)), keyOtherThan(rests))),
  );
}

const digit = oneOf('0123456789');
/** Up to 15 digits: every reader takes them for what they are. */
const wholeNumber = choice(text('0'), sequence(oneOf('123456789'), repeat(digit, 0, 14)));
export const anyInteger: Grammar = sequence(optional(text('-')), wholeNumber);
export const fraction: Grammar = sequence(text('.'), repeat(digit, 1, 15));
export const anyNumber: Grammar = sequence(
  anyInteger,
  optional(fraction),
  optional(sequence(oneOf('eE'), optional(oneOf('+-')), repeat(digit, 1, 2))),
);
