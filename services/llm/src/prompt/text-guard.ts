import { TesseraError } from '@tessera/protocol';
import type { TokenLetters } from '@tessera/tokenizer';

/** Private-use code points: nobody's text needs them, and there are more of them than a prompt may have characters. */
const sentinelRanges: readonly (readonly [number, number])[] = [
  [0xe000, 0xf8ff],
  [0xf0000, 0xffffd],
  [0x100000, 0x10fffd],
];

function unusedCharacter(texts: readonly string[]): string {
  const used = new Set<string>();
  for (const text of texts) for (const character of text) if (character >= '\ue000') used.add(character);
  for (const [first, last] of sentinelRanges) {
    for (let point = first; point <= last; point++) {
      const character = String.fromCodePoint(point);
      if (!used.has(character)) return character;
    }
  }
  throw new TesseraError('REQUEST_INVALID', 'the text uses every private-use character; leave one out', {
    field: 'conversation.messages',
  });
}

/**
 * Keeps people's words from being read as special tokens once a template has joined them with its own text.
 *
 * A sentinel that occurs nowhere else goes behind every first letter of a special token, before every last one, and
 * into the middle of each text, so that no special token can begin in, end in, or span what a person wrote, not even
 * together with what stands beside it. The rendered prompt is cut at special tokens with the sentinels still in place,
 * and they are taken out of the plain stretches afterwards. White space at the ends of a text stays at its ends, since
 * templates trim.
 */
export class TextGuard {
  readonly #sentinel: string;

  /** @param texts everything that will be in the prompt, and the template itself */
  constructor(
    private readonly letters: TokenLetters,
    texts: readonly string[],
  ) {
    this.#sentinel = unusedCharacter(texts);
  }

  guard(text: string): string {
    let guarded = '';
    let split = false;
    for (const character of text) {
      if (this.letters.ends(character)) guarded += this.#sentinel;
      guarded += character;
      const firstWord: boolean = !split && character.trim() !== '';
      if (firstWord || this.letters.begins(character)) guarded += this.#sentinel;
      split ||= firstWord;
    }
    return guarded;
  }

  /** The text as it was. */
  release(guarded: string): string {
    return guarded.replaceAll(this.#sentinel, '');
  }
}
