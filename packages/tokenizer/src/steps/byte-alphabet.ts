/**
 * The alphabet of byte-level BPE (GPT-2's bytes_to_unicode): printable Latin-1 stands for itself, the other 68 bytes
 * for U+0100 onwards, in order.
 */
const letters: readonly string[] = byteLetters();
const bytes: ReadonlyMap<string, number> = new Map(letters.map((letter, byte) => [letter, byte]));

function byteLetters(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

/** The UTF-8 of a text, a letter a byte. */
export function byteLevelText(text: string): string {
  let written = '';
  for (const byte of Buffer.from(text, 'utf8')) written += letters[byte];
  return written;
}

/** The bytes that a byte-level token stands for. */
export function byteLevelBytes(token: string): Uint8Array {
  const found = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = bytes.get(token[i] as string);
    // Outside the alphabet only what a vocabulary spells as plain text can stand.
    if (byte === undefined) return new TextEncoder().encode(token);
    found[i] = byte;
  }
  return found;
}
