import { deeper, invalid, partList, textOf, typedPart } from '../invalid.js';
import { mostOf, notTooLong, replaced } from './bounds.js';
import { byteLevelText } from './byte-alphabet.js';
import { Charsmap } from './charsmap.js';
import { patternOf, whiteSpaceAfter, whiteSpaceBefore } from './patterns.js';

/** Changes a text before it is cut into words. */
export type Normalizer = (text: string) => string;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const nmtNothing = /[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g;
const nmtSpace = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

const kinds: Readonly<
  Record<string, (part: Readonly<Record<string, unknown>>, where: string, depth: number) => Normalizer>
> = {
  Sequence: ({ normalizers }, where, depth) => {
    const steps = partList(normalizers, `${where}.normalizers`).map((step, at) =>
      normalizerOf(step, `${where}.normalizers[${at}]`, deeper(depth, where)),
    );
    return (text) => steps.reduce((changed, step) => step(changed), text);
  },
  NFC: () => (text) => text.normalize('NFC'),
  NFD: () => (text) => text.normalize('NFD'),
  NFKC: () => (text) => text.normalize('NFKC'),
  NFKD: () => (text) => text.normalize('NFKD'),
  // Each character by itself: of a whole text, JavaScript would write a sigma at the end of a word otherwise.
  Lowercase: () => (text) => {
    let lower = '';
    for (const character of text) lower += character.toLowerCase();
    return lower;
  },
  Strip: ({ strip_left: left = true, strip_right: right = true }) => {
    return (text) => {
      const begun = left === true ? text.slice(whiteSpaceAfter(text, 0)) : text;
      return right === true ? begun.slice(0, whiteSpaceBefore(begun, begun.length)) : begun;
    };
  },
  StripAccents: () => (text) => text.replace(/\p{M}/gu, ''),
  Prepend: ({ prepend }, where) => {
    const before = textOf(prepend, `${where}.prepend`);
    return (text) => {
      notTooLong(before.length + text.length);
      return text === '' ? '' : before + text;
    };
  },
  Replace: ({ pattern, content }, where) => {
    const [expression, by] = [patternOf(pattern, `${where}.pattern`), textOf(content, `${where}.content`)];
    return (text) => replaced(text, expression, by);
  },
  Nmt: () => (text) => text.replace(nmtNothing, '').replace(nmtSpace, ' '),
  Precompiled: ({ precompiled_charsmap: coded }, where) => {
    const map = new Charsmap(
      Buffer.from(textOf(coded, `${where}.precompiled_charsmap`), 'base64'),
      `${where}.precompiled_charsmap`,
    );
    return (text) => map.normalize(text);
  },
  ByteLevel: () => byteLevelText,
};

/** @throws TesseraError CHECKPOINT_INVALID naming a kind that is not built */
export function normalizerOf(value: unknown, where: string, depth = 0): Normalizer {
  if (value === null || value === undefined) return (text) => text;
  const part = typedPart(value, where);
  const make = Object.hasOwn(kinds, part.type) ? kinds[part.type] : undefined;
  if (make === undefined) throw invalid(`${where}.type`, `${part.type} is not supported`);
  const step = make(part, where, depth);
  return (text) => {
    const changed = step(text);
    // Of steps together, which may each make twice as much, the outermost sees to it.
    notTooLong(changed.length, depth === 0 ? mostOf(text) : undefined);
    return changed;
  };
}
