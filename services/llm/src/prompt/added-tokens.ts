import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';

/** A token of tokenizer.json that stands outside the merges: turn marks, media marks, and the like. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Special tokens are never shown as text. */
  readonly special: boolean;
  /** Whether the token swallows the white space before and after it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

const addedTokens = z.object({
  added_tokens: z
    .array(
      z.object({
        id: z.number().int().nonnegative(),
        content: z.string().min(1),
        special: z.boolean().default(false),
        lstrip: z.boolean().default(false),
        rstrip: z.boolean().default(false),
      }),
    )
    .default([]),
});

/** @throws TesseraError CHECKPOINT_INVALID */
export function readAddedTokens(tokenizerJson: unknown): AddedToken[] {
  const parsed = addedTokens.safeParse(tokenizerJson);
  if (!parsed.success) throw new TesseraError('CHECKPOINT_INVALID', `tokenizer.json: ${z.prettifyError(parsed.error)}`);
  return parsed.data.added_tokens;
}

/** Either a stretch of plain text or one added token. */
export type Section = string | AddedToken;

/** Cuts text at the added tokens in it, the longest first where several begin at one place, as the Rust library does. */
export class AddedTokenSplitter {
  readonly #byContent: ReadonlyMap<string, AddedToken>;
  readonly #pattern: RegExp | undefined;

  constructor(tokens: readonly AddedToken[]) {
    this.#byContent = new Map(tokens.map((token) => [token.content, token]));
    const contents = [...this.#byContent.keys()].sort((a, b) => b.length - a.length);
    const escaped = contents.map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
    this.#pattern = escaped.length === 0 ? undefined : new RegExp(`(${escaped.join('|')})`, 'u');
  }

  split(text: string): Section[] {
    if (this.#pattern === undefined) return text === '' ? [] : [text];
    const sections: Section[] = [];
    let stripStart = false;
    // A capturing group makes `split` keep what it split at.
    for (const piece of text.split(this.#pattern)) {
      const token = this.#byContent.get(piece);
      if (token === undefined) {
        const plain = stripStart ? piece.trimStart() : piece;
        stripStart = false;
        if (plain !== '') sections.push(plain);
        continue;
      }
      const before = sections.at(-1);
      if (token.lstrip && typeof before === 'string') {
        const trimmed = before.trimEnd();
        if (trimmed === '') sections.pop();
        else sections[sections.length - 1] = trimmed;
      }
      sections.push(token);
      stripStart = token.rstrip;
    }
    return sections;
  }
}
