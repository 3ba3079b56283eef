import { deeper, invalid, partList, textOf, typedPart } from '../invalid.js';
import { notTooLong, replaced } from './bounds.js';
import { byteLevelBytes } from './byte-alphabet.js';
import { patternOf, singleCharacter } from './patterns.js';

/** What a token is written as: text, or the bytes of a part of one. */
type Written = string | Uint8Array;

/**
 * How tokens are written, one by one. What a decoder does to a whole text it may do at its beginning only, or text could not be
 * given out before its end.
 */
export interface TokenDecoder {
  /** The bytes of a token within a text. */
  bytesOf(token: string): Uint8Array;
  /** Those of the first one of a text that has any. */
  firstBytesOf(token: string): Uint8Array;
  /** Whether a token may take any time, or become any length: expressions are looked for, or texts put in. */
  readonly isCostly: boolean;
}

interface Steps {
  readonly each: ((written: Written) => Written)[];
  /** Also done to the first token, instead of `each`. */
  readonly first: ((written: Written) => Written)[];
  /** Whether tokens are one text from here on. */
  isFused: boolean;
  isCostly: boolean;
  /** Whether the space that a text begins with is left out. */
  stripsSpace: boolean;
}

type Part = Readonly<Record<string, unknown>>;

const onText =
  (change: (text: string) => Written) =>
  (written: Written): Written =>
    typeof written === 'string' ? change(written) : written;

function both(steps: Steps, step: (written: Written) => Written): void {
  steps.each.push(step);
  steps.first.push(step);
}

const kinds: Readonly<Record<string, (part: Part, where: string, steps: Steps, depth: number) => void>> = {
  Sequence: ({ decoders }, where, steps, depth) => {
    for (const [at, decoder] of partList(decoders, `${where}.decoders`).entries()) {
      addDecoder(decoder, `${where}.decoders[${at}]`, steps, deeper(depth, where));
    }
  },
  ByteLevel: (_, __, steps) => both(steps, onText(byteLevelBytes)),
  Replace: ({ pattern, content }, where, steps) => {
    const [expression, by] = [patternOf(pattern, `${where}.pattern`), textOf(content, `${where}.content`)];
    // A character lies in one token; anything longer may lie in several.
    if (steps.isFused && singleCharacter(pattern) === undefined)
      throw invalid(where, 'over whole texts is not supported');
    steps.isCostly ||= by.length > 1 || typeof (pattern as { Regex?: unknown }).Regex === 'string';
    both(
      steps,
      onText((text) => replaced(text, expression, by)),
    );
  },
  ByteFallback: (_, __, steps) =>
    both(
      steps,
      onText((text) => {
        const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
        return hex === undefined ? text : Uint8Array.of(Number.parseInt(hex, 16));
      }),
    ),
  Fuse: (_, __, steps) => {
    steps.isFused = true;
  },
  Strip: ({ content, start = 0, stop = 0 }, where, steps) => {
    const letter = textOf(content, `${where}.content`);
    if (steps.isFused) {
      if (letter !== ' ' || stop !== 0 || (start !== 0 && start !== 1)) {
        throw invalid(where, 'of whole texts only a space before them is supported');
      }
      steps.stripsSpace = start === 1;
      return;
    }
    both(
      steps,
      onText((text) => stripped(text, letter, Number(start), Number(stop))),
    );
  },
  Metaspace: ({ replacement = '▁', prepend_scheme: scheme, add_prefix_space: adds = true }, where, steps) => {
    const mark = textOf(replacement, `${where}.replacement`);
    if (steps.isFused) throw invalid(where, 'over whole texts is not supported');
    const isPrepended = (scheme ?? (adds === true ? 'always' : 'never')) !== 'never';
    steps.each.push(onText((text) => text.replaceAll(mark, ' ')));
    // As the tokenizers library has it: the first token loses its marks, wherever they are.
    steps.first.push(onText((text) => text.replaceAll(mark, isPrepended ? '' : ' ')));
  },
};

function addDecoder(value: unknown, where: string, steps: Steps, depth = 0): void {
  const part = typedPart(value, where);
  const add = Object.hasOwn(kinds, part.type) ? kinds[part.type] : undefined;
  if (add === undefined) throw invalid(`${where}.type`, `${part.type} is not supported`);
  add(part, where, steps, depth);
}

/** @throws TesseraError CHECKPOINT_INVALID naming a kind that is not built */
export function decoderOf(value: unknown, where: string): TokenDecoder {
  if (value === null || value === undefined) throw invalid(where, 'is missing: nothing says how tokens are written');
  const steps: Steps = { each: [], first: [], isFused: false, stripsSpace: false, isCostly: false };
  addDecoder(value, where, steps);
  const write = (token: string, through: Steps['each']): Uint8Array => {
    const written = through.reduce((before: Written, step) => {
      const after = step(before);
      notTooLong(after.length, longestWritten);
      return after;
    }, token);
    return typeof written === 'string' ? new TextEncoder().encode(written) : written;
  };
  return {
    isCostly: steps.isCostly,
    bytesOf: (token) => write(token, steps.each),
    firstBytesOf: (token) => {
      const bytes = write(token, steps.first);
      return steps.stripsSpace && bytes[0] === space ? bytes.subarray(1) : bytes;
    },
  };
}

const space = 0x20;
/** Of a token; a vocabulary's longest has a sixteenth. */
const longestWritten = 1024 * 1024;

function stripped(text: string, letter: string, start: number, stop: number): string {
  if (letter === '') return text;
  let [from, to] = [0, text.length];
  for (let n = 0; n < start && text.startsWith(letter, from); n++) from += letter.length;
  for (let n = 0; n < stop && to > from && text.slice(from, to).endsWith(letter); n++) to -= letter.length;
  return text.slice(from, to);
}
