import { narrowToFloat16, widenFloat16 } from '@tessera/protocol';
import type { Store } from './gguf-of-checkpoint.js';

/** Types of blocks that are rounded to nearest, by their largest value. */
export type RoundedType = 'Q8_0' | 'Q4_0';

const kinds = {
  Q8_0: { type: 8, bytes: 34, scale: (peak: number) => peak / 127 },
  Q4_0: { type: 2, bytes: 18, scale: (peak: number) => peak / 7 },
} as const;

/** Rounds a layer's weights whose rows blocks of 32 fill, and puts the rounded values in their place. */
export function rounded(kind: RoundedType): Store {
  const { type, bytes, scale } = kinds[kind];
  return (name, { shape, data }) => {
    if ((shape.at(-1) as number) % 32 !== 0 || !name.startsWith('blk.')) {
      return { type: 0, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
    }
    const blocks = data.length / 32;
    const stored = new Uint8Array(blocks * bytes);
    for (let block = 0; block < blocks; block++) {
      const values = data.subarray(block * 32, block * 32 + 32);
      const half = narrowToFloat16(Float32Array.of(scale(Math.max(...values.map(Math.abs)))));
      const step = widenFloat16(half)[0] as number;
      stored.set(new Uint8Array(half.buffer), block * bytes);
      const whole = Array.from(values, (value) => Math.round(value / step));
      if (kind === 'Q8_0') stored.set(Uint8Array.from(whole), block * bytes + 2);
      else
        for (let j = 0; j < 16; j++)
          stored[block * bytes + 2 + j] = (whole[j] as number) + 8 + (((whole[j + 16] as number) + 8) << 4);
      for (const [j, value] of whole.entries()) values[j] = value * step;
    }
    return { type, data: stored };
  };
}
