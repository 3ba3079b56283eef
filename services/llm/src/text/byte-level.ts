/**
 * The alphabet of byte-level BPE (GPT-2's bytes_to_unicode): printable Latin-1 stands for itself, the other 68 bytes
 * for U+0100 onwards, in order.
 */
function byteAlphabet(): ReadonlyMap<string, number> {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const alphabet = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    alphabet.set(String.fromCharCode(printable(byte) ? byte : next++), byte);
  }
  return alphabet;
}

const alphabet = byteAlphabet();

/** The bytes that a byte-level token stands for. */
export function byteLevelBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = alphabet.get(token[i] as string);
    // Outside the alphabet only what a vocabulary spells as plain text can stand.
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes[i] = byte;
  }
  return bytes;
}
