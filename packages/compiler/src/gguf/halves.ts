import { widenFloat16 } from '@tessera/protocol';

/** The float16 that each stored block has `at` bytes behind its beginning. */
export function halves(source: Uint8Array, blockBytes: number, at: number): Float32Array {
  const bits = new Uint16Array(source.length / blockBytes);
  for (let block = 0, o = at; block < bits.length; block++, o += blockBytes) {
    bits[block] = (source[o] as number) | ((source[o + 1] as number) << 8);
  }
  return widenFloat16(bits);
}
