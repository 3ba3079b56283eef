/** The least that is set aside at once. */
const firstBytes = 4096;

/**
 * Bytes that arrive in pieces, kept in one buffer that doubles. A list of the pieces would cost far more than they hold
 * when a client sends a picture byte by byte.
 */
export class GrowingBytes {
  private buffer = new Uint8Array(0);
  private used = 0;

  get length(): number {
    return this.used;
  }

  append(piece: Uint8Array): void {
    const needed = this.used + piece.length;
    if (needed > this.buffer.length) {
      // What comes whole in one piece is copied once and takes no more than it needs.
      const grown = new Uint8Array(this.used === 0 ? piece.length : Math.max(firstBytes, 2 * this.used, needed));
      grown.set(this.buffer.subarray(0, this.used));
      this.buffer = grown;
    }
    this.buffer.set(piece, this.used);
    this.used = needed;
  }

  /** Everything so far, in a buffer of just that size. */
  whole(): Uint8Array {
    return this.used === this.buffer.length ? this.buffer : this.buffer.slice(0, this.used);
  }
}
