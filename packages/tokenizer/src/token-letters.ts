import { type AddedToken, isWhiteSpace } from './added-tokens.js';
import type { Normalizer } from './steps/normalizers.js';

/**
 * With which characters added tokens begin and end, also where the normalizer makes such a character of another one. Tokens
 * that are but white space are no marks: they stand for themselves in anybody's words.
 */
export class TokenLetters {
  readonly #first = new Set<string>();
  readonly #last = new Set<string>();
  readonly #normalize: Normalizer | undefined;
  readonly #known = new Map<string, readonly [begins: boolean, ends: boolean]>();

  constructor(tokens: readonly AddedToken[], normalize: Normalizer) {
    const marks = tokens.filter((token) => !isWhiteSpace(token));
    const add = (text: string): void => {
      const characters = [...text];
      const [first, last] = [characters[0], characters.at(-1)];
      if (first === undefined || last === undefined) return;
      this.#first.add(first);
      this.#last.add(last);
    };
    for (const { content, normalized } of marks) {
      add(content);
      if (normalized) add(normalize(content));
    }
    if (marks.some(({ normalized }) => normalized)) this.#normalize = normalize;
  }

  begins(character: string): boolean {
    return this.#of(character)[0];
  }

  ends(character: string): boolean {
    return this.#of(character)[1];
  }

  #of(character: string): readonly [begins: boolean, ends: boolean] {
    let known = this.#known.get(character);
    if (known === undefined) {
      const forms = [character, ...(this.#normalize?.(character) ?? '')];
      known = [forms.some((form) => this.#first.has(form)), forms.some((form) => this.#last.has(form))];
      if (this.#known.size < 65_536) this.#known.set(character, known);
    }
    return known;
  }
}
