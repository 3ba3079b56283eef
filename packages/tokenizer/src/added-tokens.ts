import { z } from 'zod';
import { invalid } from './invalid.js';
import { mostTokens } from './model/vocabulary.js';
import type { Normalizer } from './steps/normalizers.js';
import { escaped, whiteSpace, whiteSpaceAfter, whiteSpaceBefore } from './steps/patterns.js';

/** A token of tokenizer.json that stands outside the merges: turn marks, media marks, and the like. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Special tokens are never shown as text. */
  readonly special: boolean;
  /** Whether the token swallows the white space before and after it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Whether it must stand alone, between no letters. */
  readonly singleWord: boolean;
  /** Whether it is looked for in the text as the normalizer leaves it, as the normalizer makes of the token itself. */
  readonly normalized: boolean;
}

/** Tokens added to a vocabulary; published ones have some thousand. */
const mostAdded = 65_536;

const addedTokens = z.object({
  added_tokens: z
    .array(
      z
        .object({
          id: z
            .number()
            .int()
            .nonnegative()
            .max(mostTokens - 1),
          content: z.string().min(1).max(4096),
          special: z.boolean().default(false),
          lstrip: z.boolean().default(false),
          rstrip: z.boolean().default(false),
          single_word: z.boolean().default(false),
          normalized: z.boolean().optional(),
        })
        .transform(({ single_word: singleWord, normalized, ...token }) => ({
          ...token,
          singleWord,
          normalized: normalized ?? !token.special,
        })),
    )
    .max(mostAdded)
    .nullish()
    .transform((tokens) => tokens ?? []),
});

/** @throws TesseraError CHECKPOINT_INVALID */
export function readAddedTokens(tokenizerJson: unknown, file: string): AddedToken[] {
  const parsed = addedTokens.safeParse(tokenizerJson);
  if (!parsed.success) throw invalid(file, z.prettifyError(parsed.error), parsed.error);
  return parsed.data.added_tokens;
}

/** Whether a token is but white space, or what sentencepiece writes for it: such a one stands for itself in anybody's words. */
export function isWhiteSpace({ content }: AddedToken): boolean {
  return whiteSpaceOnly.test(content);
}

const whiteSpaceOnly = new RegExp(`^[${whiteSpace}▁]+$`, 'u');
const endsInWord = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]$/u;
const beginsWithWord = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u;

/** Either a stretch of plain text or one added token, and where it begins. */
export interface Section {
  readonly at: number;
  readonly part: string | AddedToken;
}

/** Finds some tokens in a text, the longest first where several begin at one place, as the tokenizers library does. */
export class AddedTokenSplitter {
  readonly #byText: ReadonlyMap<string, AddedToken>;
  readonly #pattern: RegExp | undefined;

  /** @param textOf what a token is looked for as */
  constructor(tokens: readonly AddedToken[], textOf: Normalizer = (content) => content) {
    const texts = tokens.map((token) => [textOf(token.content), token] as const).filter(([text]) => text !== '');
    this.#byText = new Map(texts);
    const longestFirst = [...this.#byText.keys()].sort((a, b) => b.length - a.length);
    this.#pattern = longestFirst.length === 0 ? undefined : new RegExp(longestFirst.map(escaped).join('|'), 'gu');
  }

  split(text: string): Section[] {
    const sections: Section[] = [];
    let from = 0;
    for (const match of this.#pattern === undefined ? [] : text.matchAll(this.#pattern)) {
      const token = this.#byText.get(match[0]) as AddedToken;
      let [start, end] = [match.index, match.index + match[0].length];
      if (start < from || (token.singleWord && isWithinWord(text, start, end))) continue;
      if (token.lstrip) start = whiteSpaceBefore(text, start, from);
      if (token.rstrip) end = whiteSpaceAfter(text, end);
      if (start > from) sections.push({ at: from, part: text.slice(from, start) });
      sections.push({ at: start, part: token });
      from = end;
    }
    if (from < text.length) sections.push({ at: from, part: text.slice(from) });
    return sections;
  }
}

function isWithinWord(text: string, start: number, end: number): boolean {
  return endsInWord.test(text.slice(Math.max(0, start - 2), start)) || beginsWithWord.test(text.slice(end, end + 2));
}
