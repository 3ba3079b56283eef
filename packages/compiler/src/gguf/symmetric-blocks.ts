import { halves } from './halves.js';

/** Blocks whose values are a whole number times a scale each: what MatMulNBits can hold as it is. */
export interface SymmetricType {
  /** Of the whole numbers, which are around 0. */
  readonly bits: 4 | 8;
  /** Values that share a scale: fewer than a stored block has where that is divided once more. */
  readonly blockSize: 16 | 32;
  unpack(source: Uint8Array): SymmetricBlocks;
}

interface SymmetricBlocks {
  readonly values: Int8Array;
  /** One for each `blockSize` values. */
  readonly scales: Float32Array;
}

/** A scale, then 32 nibbles: the low ones are the first half. */
function q4_0(source: Uint8Array): SymmetricBlocks {
  const scales = halves(source, 18, 0);
  const values = new Int8Array(scales.length * 32);
  for (let block = 0; block < scales.length; block++) {
    for (let j = 0, q = block * 18 + 2, y = block * 32; j < 16; j++) {
      const byte = source[q + j] as number;
      values[y + j] = (byte & 15) - 8;
      values[y + j + 16] = (byte >> 4) - 8;
    }
  }
  return { values, scales };
}

/** A scale, the fifth bits of all 32, then nibbles. */
function q5_0(source: Uint8Array): SymmetricBlocks {
  const scales = halves(source, 22, 0);
  const values = new Int8Array(scales.length * 32);
  for (let block = 0; block < scales.length; block++) {
    for (let j = 0, high = block * 22 + 2, y = block * 32; j < 16; j++) {
      const byte = source[high + 4 + j] as number;
      const [place, shift] = [high + (j >> 3), j & 7];
      values[y + j] = ((byte & 15) | ((((source[place] as number) >> shift) & 1) << 4)) - 16;
      values[y + j + 16] = ((byte >> 4) | ((((source[place + 2] as number) >> shift) & 1) << 4)) - 16;
    }
  }
  return { values, scales };
}

/** A scale, then 32 signed bytes. */
function q8_0(source: Uint8Array): SymmetricBlocks {
  const scales = halves(source, 34, 0);
  const values = new Int8Array(scales.length * 32);
  const signed = new Int8Array(source.buffer, source.byteOffset, source.length);
  for (let block = 0; block < scales.length; block++) {
    values.set(signed.subarray(block * 34 + 2, block * 34 + 34), block * 32);
  }
  return { values, scales };
}

/** Low nibbles, high pairs of bits, 16 signed scales, the scale of scales: in halves of 128 values, each in four runs of 32. */
function q6_k(source: Uint8Array): SymmetricBlocks {
  const whole = halves(source, 210, 208);
  const signed = new Int8Array(source.buffer, source.byteOffset, source.length);
  const values = new Int8Array(whole.length * 256);
  const scales = new Float32Array(whole.length * 16);
  for (let block = 0; block < whole.length; block++) {
    const begin = block * 210;
    for (let part = 0; part < 16; part++) {
      scales[block * 16 + part] = (whole[block] as number) * (signed[begin + 192 + part] as number);
    }
    for (let run = 0; run < 8; run++) {
      const half = run >> 2;
      const low = begin + half * 64 + (run % 2) * 32;
      const high = begin + 128 + half * 32;
      const [shift, pair] = [(run & 2) * 2, (run & 3) * 2];
      for (let j = 0, y = block * 256 + run * 32; j < 32; j++) {
        const nibble = ((source[low + j] as number) >> shift) & 15;
        values[y + j] = (nibble | ((((source[high + j] as number) >> pair) & 3) << 4)) - 32;
      }
    }
  }
  return { values, scales };
}

/** By the name of the stored type. Five and six bits fit eight. */
export const symmetricTypes: Readonly<Record<string, SymmetricType>> = {
  Q4_0: { bits: 4, blockSize: 32, unpack: q4_0 },
  Q5_0: { bits: 8, blockSize: 32, unpack: q5_0 },
  Q8_0: { bits: 8, blockSize: 32, unpack: q8_0 },
  Q6_K: { bits: 8, blockSize: 16, unpack: q6_k },
};

/** The values as MatMulNBits has them: unsigned around the middle of the range, of four bits two a byte, the even column low. */
export function packed(values: Int8Array, bits: 4 | 8): Uint8Array {
  const bytes = new Uint8Array((values.length * bits) / 8);
  if (bits === 8) {
    // A plain loop: Uint8Array.from with a function takes some hundred times as long.
    for (let i = 0; i < bytes.length; i++) bytes[i] = (values[i] as number) + 128;
    return bytes;
  }
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = ((values[2 * i] as number) + 8) | (((values[2 * i + 1] as number) + 8) << 4);
  }
  return bytes;
}
