import { TesseraError } from '@tessera/protocol';
import type { TokenLetters } from '@tessera/tokenizer';

/** Letters of which no special token is made up. */
const plainName = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Sees that nothing in a caller's template variables can become a special token. Templates compare such values, so they
 * cannot be guarded as words are: one with a letter that begins or ends a special token is refused.
 * @throws TesseraError REQUEST_INVALID
 */
export function requireHarmless(variables: object, letters: TokenLetters): void {
  if (Object.keys(variables).length === 0) return;
  const check = (value: unknown, path: string): void => {
    if (typeof value === 'string') {
      const letter = [...value].find((each) => letters.begins(each) || letters.ends(each));
      if (letter !== undefined) {
        throw TesseraError.invalidField(path, `holds ${JSON.stringify(letter)}, which stands in special tokens`);
      }
    } else if (Array.isArray(value)) {
      for (const [index, inner] of value.entries()) check(inner, `${path}[${index}]`);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        if (!plainName.test(key)) {
          throw TesseraError.invalidField(path, 'has a name that is not made of letters, digits and _');
        }
        check(inner, `${path}.${key}`);
      }
    }
  };
  check(variables, 'conversation.template_arguments');
}
