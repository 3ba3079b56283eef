import { TesseraError } from '@tessera/protocol';

/** UTF-16 units that a text may become on its way to tokens: a million tokens have a fourth of it. */
const longestText = 16 * 1024 * 1024;
/** What a short text may become, and how often the length of a long one: no Unicode form makes more than 18 of a character. */
const shortText = 1024 * 1024;
const mostGrowth = 32;

/**
 * Sees that a step made no more of a text than may be. Far longer strings end the process, and nothing catches that.
 * @throws TesseraError REQUEST_INVALID
 */
export function notTooLong(length: number, most = longestText): void {
  if (length > most) {
    const what = `the tokenizer makes more than ${most} characters of the text`;
    throw new TesseraError('REQUEST_INVALID', what);
  }
}

/** What the steps of a file may make of a text together. */
export function mostOf(text: string): number {
  return Math.min(longestText, shortText + mostGrowth * text.length);
}

/** @throws TesseraError REQUEST_INVALID where it makes more of the text than may be */
export function replaced(text: string, expression: RegExp, by: string): string {
  // Most often nothing can go wrong, and this is much faster.
  if ((text.length + 1) * (by.length + 1) <= longestText) return text.replace(expression, () => by);
  let [result, from] = ['', 0];
  for (const match of text.matchAll(expression)) {
    result += text.slice(from, match.index) + by;
    notTooLong(result.length);
    from = match.index + match[0].length;
  }
  return result + text.slice(from);
}
