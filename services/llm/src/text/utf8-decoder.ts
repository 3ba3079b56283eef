/** How many bytes at the end begin a character whose other bytes are still to come: 0 to 3. */
function incompleteTail(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte >= 0x80 && byte < 0xc0) continue;
    const length = byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
    return byte < 0xf5 && length > back ? back : 0;
  }
  return 0;
}

/**
 * Decodes UTF-8 that arrives in pieces cut anywhere. Gives only whole characters; bytes that can belong to none become
 * U+FFFD, as the Encoding Standard says.
 */
export class Utf8Decoder {
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #tail = new Uint8Array(0);

  /** Whether bytes are held back for the rest of their character. */
  get isPending(): boolean {
    return this.#tail.length > 0;
  }

  push(piece: Uint8Array): string {
    let bytes = piece;
    if (this.#tail.length > 0) {
      bytes = new Uint8Array(this.#tail.length + piece.length);
      bytes.set(this.#tail);
      bytes.set(piece, this.#tail.length);
    }
    const tail = incompleteTail(bytes);
    this.#tail = bytes.slice(bytes.length - tail);
    return this.#decoder.decode(bytes.subarray(0, bytes.length - tail));
  }
}
