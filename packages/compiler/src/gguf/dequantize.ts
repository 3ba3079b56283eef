import { widenFloat16 } from '@tessera/protocol';

/**
 * The values of stored blocks in float32, each operation rounded as ggml's reference code rounds it (without the fused
 * multiply-add that some compilers make of its sums, which differs in the last place).
 */
export type Dequantize = (source: Uint8Array, target: Float32Array) => void;

const round = Math.fround;

/** The float16 that each block has `at` bytes behind its beginning. */
function halves(source: Uint8Array, blockBytes: number, at: number): Float32Array {
  const bits = new Uint16Array(source.length / blockBytes);
  for (let block = 0, o = at; block < bits.length; block++, o += blockBytes) {
    bits[block] = (source[o] as number) | ((source[o + 1] as number) << 8);
  }
  return widenFloat16(bits);
}

/** Bytes as they are numbered in memory: a chunk of a file begins where memory was allotted, or behind whole values. */
const aligned = (source: Uint8Array, bytes: number): Uint8Array =>
  source.byteOffset % bytes === 0 ? source : new Uint8Array(source);

function f32(source: Uint8Array, target: Float32Array): void {
  new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(source);
}

function f16(source: Uint8Array, target: Float32Array): void {
  const { buffer, byteOffset, length } = aligned(source, 2);
  widenFloat16(new Uint16Array(buffer, byteOffset, length / 2), target);
}

function bf16(source: Uint8Array, target: Float32Array): void {
  const { buffer, byteOffset, length } = aligned(source, 2);
  const from = new Uint16Array(buffer, byteOffset, length / 2);
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < bits.length; i++) bits[i] = (from[i] as number) << 16;
}

/** A scale, then 32 nibbles: the low ones are the first half. */
function q4_0(source: Uint8Array, target: Float32Array): void {
  const scales = halves(source, 18, 0);
  for (let block = 0; block < scales.length; block++) {
    const d = scales[block] as number;
    for (let j = 0, q = block * 18 + 2, y = block * 32; j < 16; j++) {
      const byte = source[q + j] as number;
      target[y + j] = ((byte & 15) - 8) * d;
      target[y + j + 16] = ((byte >> 4) - 8) * d;
    }
  }
}

/** A scale, what is added, then nibbles as in Q4_0. */
function q4_1(source: Uint8Array, target: Float32Array): void {
  const scales = halves(source, 20, 0);
  const offsets = halves(source, 20, 2);
  for (let block = 0; block < scales.length; block++) {
    const d = scales[block] as number;
    const m = offsets[block] as number;
    for (let j = 0, q = block * 20 + 4, y = block * 32; j < 16; j++) {
      const byte = source[q + j] as number;
      target[y + j] = round((byte & 15) * d) + m;
      target[y + j + 16] = round((byte >> 4) * d) + m;
    }
  }
}

const u32 = (source: Uint8Array, at: number): number =>
  (source[at] as number) |
  ((source[at + 1] as number) << 8) |
  ((source[at + 2] as number) << 16) |
  ((source[at + 3] as number) << 24);

/** A scale, the fifth bits of all 32, then nibbles. */
function q5_0(source: Uint8Array, target: Float32Array): void {
  const scales = halves(source, 22, 0);
  for (let block = 0; block < scales.length; block++) {
    const d = scales[block] as number;
    const high = u32(source, block * 22 + 2);
    for (let j = 0, q = block * 22 + 6, y = block * 32; j < 16; j++) {
      const byte = source[q + j] as number;
      target[y + j] = (((byte & 15) | (((high >>> j) & 1) << 4)) - 16) * d;
      target[y + j + 16] = (((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16) * d;
    }
  }
}

function q5_1(source: Uint8Array, target: Float32Array): void {
  const scales = halves(source, 24, 0);
  const offsets = halves(source, 24, 2);
  for (let block = 0; block < scales.length; block++) {
    const d = scales[block] as number;
    const m = offsets[block] as number;
    const high = u32(source, block * 24 + 4);
    for (let j = 0, q = block * 24 + 8, y = block * 32; j < 16; j++) {
      const byte = source[q + j] as number;
      target[y + j] = round(((byte & 15) | (((high >>> j) & 1) << 4)) * d) + m;
      target[y + j + 16] = round(((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) * d) + m;
    }
  }
}

/** A scale, then 32 signed bytes. */
function q8_0(source: Uint8Array, target: Float32Array): void {
  const scales = halves(source, 34, 0);
  const signed = new Int8Array(source.buffer, source.byteOffset, source.length);
  for (let block = 0; block < scales.length; block++) {
    const d = scales[block] as number;
    for (let j = 0, q = block * 34 + 2, y = block * 32; j < 32; j++) target[y + j] = (signed[q + j] as number) * d;
  }
}

/** Scale and minimum of the eight parts of a block, of 6 bits each: four times both, and what is left over packed behind. */
function sixBits(source: Uint8Array, at: number, part: number): { scale: number; min: number } {
  const byte = (index: number): number => source[at + index] as number;
  if (part < 4) return { scale: byte(part) & 63, min: byte(part + 4) & 63 };
  return {
    scale: (byte(part + 4) & 15) | ((byte(part - 4) >> 6) << 4),
    min: (byte(part + 4) >> 4) | ((byte(part) >> 6) << 4),
  };
}

/** Two scales, scales and minima of eight parts in 6 bits, fifth bits where there are any, then nibbles: 64 values in 32 bytes. */
function fourOrFiveBitsK(source: Uint8Array, target: Float32Array, blockBytes: 144 | 176): void {
  const scales = halves(source, blockBytes, 0);
  const minima = halves(source, blockBytes, 2);
  const nibbles = blockBytes - 128;
  for (let block = 0; block < scales.length; block++) {
    const begin = block * blockBytes;
    const d = scales[block] as number;
    const dMin = minima[block] as number;
    for (let part = 0; part < 8; part++) {
      const { scale, min } = sixBits(source, begin + 4, part);
      const step = round(d * scale);
      const offset = round(dMin * min);
      const shift = part % 2 === 0 ? 0 : 4;
      const q = begin + nibbles + (part >> 1) * 32;
      const y = block * 256 + part * 32;
      for (let j = 0; j < 32; j++) {
        let value = ((source[q + j] as number) >> shift) & 15;
        if (blockBytes === 176) value |= (((source[begin + 16 + j] as number) >> part) & 1) << 4;
        target[y + j] = round(step * value) - offset;
      }
    }
  }
}

/** Low nibbles, high pairs of bits, 16 signed scales, the scale of scales: in halves of 128 values, each in four runs of 32. */
function q6_k(source: Uint8Array, target: Float32Array): void {
  const scales = halves(source, 210, 208);
  const signed = new Int8Array(source.buffer, source.byteOffset, source.length);
  for (let block = 0; block < scales.length; block++) {
    const begin = block * 210;
    const d = scales[block] as number;
    for (let run = 0; run < 8; run++) {
      const half = run >> 2;
      const low = begin + half * 64 + (run % 2) * 32;
      const high = begin + 128 + half * 32;
      const shift = (run & 2) * 2;
      const pair = (run & 3) * 2;
      const y = block * 256 + run * 32;
      for (let part = 0; part < 2; part++) {
        const step = round(d * (signed[begin + 192 + run * 2 + part] as number));
        for (let j = part * 16; j < part * 16 + 16; j++) {
          const value =
            (((source[low + j] as number) >> shift) & 15) | ((((source[high + j] as number) >> pair) & 3) << 4);
          target[y + j] = step * (value - 32);
        }
      }
    }
  }
}

/** By the name of the stored type; those that are not here are not read. */
export const dequantizers: Readonly<Record<string, Dequantize>> = {
  F32: f32,
  F16: f16,
  BF16: bf16,
  Q4_0: q4_0,
  Q4_1: q4_1,
  Q5_0: q5_0,
  Q5_1: q5_1,
  Q8_0: q8_0,
  Q4_K: (source, target) => fourOrFiveBitsK(source, target, 144),
  Q5_K: (source, target) => fourOrFiveBitsK(source, target, 176),
  Q6_K: q6_k,
};
