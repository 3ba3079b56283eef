import { deeper, invalid, partList, textOf, typedPart } from '../invalid.js';
import { mostOf, notTooLong } from './bounds.js';
import { byteLevelText } from './byte-alphabet.js';
import { escaped, patternOf, whiteSpace } from './patterns.js';

/**
 * Cuts a text into words.
 * @param isFirst whether nothing stands before it in the prompt
 */
export type PreTokenizer = (text: string, isFirst: boolean) => string[];

const gpt2Words = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${whiteSpace}\\p{L}\\p{N}]+|${whiteSpace}+(?!\\P{White_Space})|${whiteSpace}+`,
  'gu',
);

/** What becomes of the places where a text is split. */
const behaviors = ['Isolated', 'Removed', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
type Behavior = (typeof behaviors)[number];

const kinds: Readonly<
  Record<string, (part: Readonly<Record<string, unknown>>, where: string, depth: number) => PreTokenizer>
> = {
  Sequence: ({ pretokenizers }, where, depth) => {
    const steps = partList(pretokenizers, `${where}.pretokenizers`).map((step, at) =>
      preTokenizerOf(step, `${where}.pretokenizers[${at}]`, deeper(depth, where)),
    );
    return (text, isFirst) => {
      const most = mostOf(text);
      return steps.reduce(
        (words, step) => {
          let length = 0;
          return words.flatMap((word, at) => {
            const cut = step(word, isFirst && at === 0);
            for (const one of cut) length += one.length;
            notTooLong(length, most);
            return cut;
          });
        },
        [text],
      );
    };
  },
  ByteLevel: ({ add_prefix_space: addsSpace = true, use_regex: cuts = true }) => {
    return (text) => {
      const begun = addsSpace === true && !text.startsWith(' ') ? ` ${text}` : text;
      return (cuts === false ? [begun] : (begun.match(gpt2Words) ?? [])).map(byteLevelText);
    };
  },
  Metaspace: ({ replacement = '▁', prepend_scheme: scheme, add_prefix_space: adds = true, split = true }, where) => {
    const mark = textOf(replacement, `${where}.replacement`);
    if ([...mark].length !== 1) throw invalid(`${where}.replacement`, 'is not one character');
    const prepends = scheme ?? (adds === true ? 'always' : 'never');
    if (prepends !== 'always' && prepends !== 'first' && prepends !== 'never') {
      throw invalid(`${where}.prepend_scheme`, `${String(prepends)} is not supported`);
    }
    const marks = new RegExp(escaped(mark), 'gu');
    return (text, isFirst) => {
      const marked = text.replaceAll(' ', () => mark);
      const isBegun = prepends === 'never' || (prepends === 'first' && !isFirst) || marked.startsWith(mark);
      const whole = isBegun ? marked : mark + marked;
      return split === false ? [whole] : splitAt(whole, marks, 'MergedWithNext', false);
    };
  },
  Split: ({ pattern, behavior = 'Removed', invert = false }, where) => {
    const expression = patternOf(pattern, `${where}.pattern`);
    const known = behaviors.find((one) => one === behavior);
    if (known === undefined) throw invalid(`${where}.behavior`, `${String(behavior)} is not supported`);
    return (text) => splitAt(text, expression, known, invert === true);
  },
  Digits: ({ individual_digits: each = false }) => {
    return (text) => splitAt(text, /\p{N}/gu, each === true ? 'Isolated' : 'Contiguous', false);
  },
  Punctuation: ({ behavior = 'Isolated' }, where) => {
    const known = behaviors.find((one) => one === behavior);
    if (known === undefined) throw invalid(`${where}.behavior`, `${String(behavior)} is not supported`);
    return (text) => splitAt(text, /[\p{P}$+<=>^`|~]/gu, known, false);
  },
  Whitespace: (_, where) => {
    const words = patternOf({ Regex: '\\w+|[^\\w\\s]+' }, where);
    return (text) => splitAt(text, words, 'Removed', true);
  },
  WhitespaceSplit: () => (text) => splitAt(text, new RegExp(whiteSpace, 'gu'), 'Removed', false),
};

/** @throws TesseraError CHECKPOINT_INVALID naming a kind that is not built */
export function preTokenizerOf(value: unknown, where: string, depth = 0): PreTokenizer {
  if (value === null || value === undefined) return (text) => [text];
  const part = typedPart(value, where);
  const make = Object.hasOwn(kinds, part.type) ? kinds[part.type] : undefined;
  if (make === undefined) throw invalid(`${where}.type`, `${part.type} is not supported`);
  return make(part, where, depth);
}

/** @param isInverted whether the expression finds what lies between the places */
function splitAt(text: string, expression: RegExp, behavior: Behavior, isInverted: boolean): string[] {
  const pieces: { text: string; isPlace: boolean }[] = [];
  let from = 0;
  for (const match of text.matchAll(expression)) {
    const [found] = match;
    if (match.index > from) pieces.push({ text: text.slice(from, match.index), isPlace: isInverted });
    if (found !== '') pieces.push({ text: found, isPlace: !isInverted });
    from = match.index + found.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from), isPlace: isInverted });
  switch (behavior) {
    case 'Isolated':
      return pieces.map((piece) => piece.text);
    case 'Removed':
      return pieces.filter(({ isPlace }) => !isPlace).map((piece) => piece.text);
    case 'Contiguous':
      return joined(pieces, (before, piece) => before.isPlace === piece.isPlace);
    case 'MergedWithPrevious':
      return joined(pieces, (before, piece) => piece.isPlace && !before.isPlace);
    case 'MergedWithNext':
      return joined(pieces, (before, piece) => before.isPlace && !piece.isPlace);
  }
}

type Piece = { readonly text: string; readonly isPlace: boolean };

function joined(pieces: readonly Piece[], isOne: (before: Piece, piece: Piece) => boolean): string[] {
  const words: string[] = [];
  for (const [at, piece] of pieces.entries()) {
    const before = pieces[at - 1];
    if (before !== undefined && isOne(before, piece)) words[words.length - 1] += piece.text;
    else words.push(piece.text);
  }
  return words;
}
