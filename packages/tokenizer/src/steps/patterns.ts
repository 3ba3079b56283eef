import * as library from '@huggingface/tokenizers';
import { invalid } from '../invalid.js';

/** Its declarations name files without their endings, which TypeScript does not find. */
const { SplitPreTokenizer } = library as unknown as {
  readonly SplitPreTokenizer: new (config: object) => { readonly pattern: RegExp | null };
};

/** White space as Unicode has it: JavaScript's own has the byte order mark and lacks U+0085. */
export const whiteSpace = '\\p{White_Space}';

const isWhiteSpace = new RegExp(whiteSpace, 'u');

/** Where the white space before a place begins. An expression would take time with the square of its length. */
export function whiteSpaceBefore(text: string, end: number, least = 0): number {
  let at = end;
  // All white space is one UTF-16 unit.
  while (at > least && isWhiteSpace.test(text[at - 1] as string)) at--;
  return at;
}

/** Where the white space at a place ends. */
export function whiteSpaceAfter(text: string, start: number): number {
  let at = start;
  while (at < text.length && isWhiteSpace.test(text[at] as string)) at++;
  return at;
}

/** A pattern of tokenizer.json: a text as it stands, or an expression in Oniguruma's words. @throws TesseraError CHECKPOINT_INVALID */
export function patternOf(value: unknown, where: string): RegExp {
  const { String: text, Regex: expression } = (value ?? {}) as { String?: unknown; Regex?: unknown };
  if (typeof text === 'string' && text !== '') return new RegExp(escaped(text), 'gu');
  if (typeof expression !== 'string') throw invalid(where, 'has neither String nor Regex');
  if (expression.length > mostExpression) throw invalid(where, `has more than ${mostExpression} characters`);
  try {
    // The library knows how Oniguruma's expressions differ from JavaScript's.
    const { pattern } = new SplitPreTokenizer({ pattern: { Regex: expression }, invert: false });
    if (pattern !== null) return pattern;
  } catch (cause) {
    throw invalid(where, `the expression is not taken: ${(cause as Error).message}`, cause);
  }
  throw invalid(where, 'the expression is not taken');
}

const mostExpression = 16_384;

export function escaped(text: string): string {
  // A hyphen is none of them: under the flag `u`, an expression in which it is escaped is refused.
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

/** The single character of a pattern, if it is one; undefined else. */
export function singleCharacter(value: unknown): string | undefined {
  const { String: text } = (value ?? {}) as { String?: unknown };
  return typeof text === 'string' && [...text].length === 1 ? text : undefined;
}
