import { widenFloat16 } from '@tessera/protocol';
import { widenBFloat16 } from '../checkpoint/widen.js';
import { halves } from './halves.js';
import { type SymmetricType, symmetricTypes } from './symmetric-blocks.js';

/**
 * The values of stored blocks in float32, each operation rounded as ggml's reference code rounds it (without the fused
 * multiply-add that some compilers make of its sums, which differs in the last place). `source` begins where memory was allotted.
 */
export type Dequantize = (source: Uint8Array, target: Float32Array) => void;

const round = Math.fround;

function f32(source: Uint8Array, target: Float32Array): void {
  new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(source);
}

function f16(source: Uint8Array, target: Float32Array): void {
  const { buffer, byteOffset, length } = source;
  widenFloat16(new Uint16Array(buffer, byteOffset, length / 2), target);
}

function bf16(source: Uint8Array, target: Float32Array): void {
  const { buffer, byteOffset, length } = source;
  widenBFloat16(new Uint16Array(buffer, byteOffset, length / 2), target);
}

/** A scale, what is added, then 32 nibbles: the low ones are the first half. */
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

/** A scale, what is added, the fifth bits of all 32, then nibbles. */
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

/** Whole numbers times a scale. */
function symmetric({ blockSize, unpack }: SymmetricType): Dequantize {
  return (source, target) => {
    const { values, scales } = unpack(source);
    for (let block = 0, i = 0; block < scales.length; block++) {
      const scale = scales[block] as number;
      for (const end = i + blockSize; i < end; i++) target[i] = (values[i] as number) * scale;
    }
  };
}

/** By the name of the stored type; those that are not here are not read. */
export const dequantizers: Readonly<Record<string, Dequantize>> = {
  F32: f32,
  F16: f16,
  BF16: bf16,
  Q4_1: q4_1,
  Q5_1: q5_1,
  ...Object.fromEntries(Object.entries(symmetricTypes).map(([name, type]) => [name, symmetric(type)])),
  Q4_K: (source, target) => fourOrFiveBitsK(source, target, 144),
  Q5_K: (source, target) => fourOrFiveBitsK(source, target, 176),
};
