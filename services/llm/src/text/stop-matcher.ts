/** How far one stop text is matched, by the rule of Knuth, Morris and Pratt: one step a character, never back. */
class PatternState {
  readonly #fallback: Int32Array;
  matched = 0;

  constructor(readonly text: string) {
    this.#fallback = new Int32Array(text.length);
    for (let i = 1, length = 0; i < text.length; i++) {
      while (length > 0 && text[i] !== text[length]) length = this.#fallback[length - 1] as number;
      if (text[i] === text[length]) length++;
      this.#fallback[i] = length;
    }
  }

  /** Whether the text is complete with this character. */
  push(character: string): boolean {
    while (this.matched > 0 && this.text[this.matched] !== character) {
      this.matched = this.#fallback[this.matched - 1] as number;
    }
    if (this.text[this.matched] === character) this.matched++;
    return this.matched === this.text.length;
  }
}

/** Looks for stop texts in text that arrives in pieces, in time linear in it. */
export class StopMatcher {
  readonly #patterns: readonly PatternState[];

  constructor(stops: readonly string[]) {
    this.#patterns = stops.map((text) => new PatternState(text));
  }

  /** Forgets what may have begun. */
  reset(): void {
    for (const pattern of this.#patterns) pattern.matched = 0;
  }

  /** How many characters at the end of what was pushed may yet become a stop text. */
  get heldLength(): number {
    return this.#patterns.reduce((held, { matched }) => Math.max(held, matched), 0);
  }

  /**
   * @returns where the first complete stop text begins, relative to the start of `piece` (negative when it began in an
   * earlier one); undefined when there is none
   */
  push(piece: string): number | undefined {
    if (this.#patterns.length === 0) return undefined;
    for (let i = 0; i < piece.length; i++) {
      let longest = 0;
      for (const pattern of this.#patterns) {
        if (pattern.push(piece[i] as string)) longest = Math.max(longest, pattern.text.length);
      }
      if (longest > 0) return i + 1 - longest;
    }
    return undefined;
  }
}
