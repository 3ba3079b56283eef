import { invalid } from '../invalid.js';
import { notTooLong } from './bounds.js';

/** What may be read of a map; sentencepiece's largest, nmt_nfkc_cf, has 300 kB. */
const mostBytes = 4 * 1024 * 1024;
/** Of a grapheme that is looked up as a whole, UTF-8. */
const mostGrapheme = 5;

/**
 * A precompiled map of sentencepiece: a double array (Darts) that leads from a text's bytes to a place in a table of texts.
 * It is used as the tokenizers library does: a short grapheme is replaced as a whole by what its first known beginning stands
 * for, and else each of its characters by itself.
 */
export class Charsmap {
  readonly #units: Uint32Array;
  readonly #texts: Uint8Array;
  readonly #known = new Map<string, string | undefined>();
  readonly #graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });

  /** @throws TesseraError CHECKPOINT_INVALID where the bytes are no such map */
  constructor(bytes: Uint8Array, where: string) {
    if (bytes.length > mostBytes) throw invalid(where, `has ${bytes.length} bytes; at most ${mostBytes} are taken`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = bytes.length < 4 ? 0 : view.getUint32(0, true);
    if (size === 0 || size % 4 !== 0 || size > bytes.length - 4) throw invalid(where, 'is not a map of characters');
    this.#units = Uint32Array.from({ length: size / 4 }, (_, at) => view.getUint32(4 + at * 4, true));
    this.#texts = bytes.subarray(4 + size);
  }

  normalize(text: string): string {
    let written = '';
    // Graphemes of one character are most, and to find the others takes long.
    const simple = /^[\n\x20-\x7e\u4e00-\u9fff]*$/.test(text);
    for (const grapheme of simple ? text : this.#segments(text)) {
      const whole = Buffer.byteLength(grapheme) <= mostGrapheme ? this.#replacement(grapheme) : undefined;
      if (whole !== undefined) written += whole;
      else for (const character of grapheme) written += this.#replacement(character) ?? character;
      notTooLong(written.length);
    }
    return written;
  }

  *#segments(text: string): Iterable<string> {
    for (const { segment } of this.#graphemes.segment(text)) yield segment;
  }

  #replacement(text: string): string | undefined {
    if (this.#known.has(text)) return this.#known.get(text);
    const found = this.#lookUp(Buffer.from(text, 'utf8'));
    if (this.#known.size < 65_536) this.#known.set(text, found);
    return found;
  }

  #lookUp(key: Uint8Array): string | undefined {
    const units = this.#units;
    const unitAt = (at: number): number => (at < units.length ? (units[at] as number) : 0);
    let at = offsetOf(unitAt(0));
    for (const byte of key) {
      if (byte === 0) return undefined;
      at ^= byte;
      const unit = unitAt(at);
      if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
      at ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 1) return this.#textAt(unitAt(at) & 0x7fffffff);
    }
    return undefined;
  }

  #textAt(from: number): string {
    const end = this.#texts.indexOf(0, from);
    return Buffer.from(this.#texts.subarray(from, end < 0 ? undefined : end)).toString('utf8');
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
