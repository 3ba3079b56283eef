const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;
const rounds = 10;

/** The high 32 bits of the 64-bit product of two uint32. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/**
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a block of four uint32 that
 * depends on nothing but its counter and key. Written into `out`, which is returned.
 */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Uint32Array = new Uint32Array(4),
): Uint32Array {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const low0 = Math.imul(multiplier0, c0) >>> 0;
    const high1 = multiplyHigh(multiplier1, c2);
    const low1 = Math.imul(multiplier1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
  return out;
}

/** What a stream of random numbers is for: uses of one seed must not share numbers. */
const randomPurpose = { text: 0, noise: 1 } as const;
export type RandomPurpose = keyof typeof randomPurpose;

/**
 * Random numbers addressed by position: number n of a seed is the same whoever asks, in whatever order, in whatever
 * batch, on whichever machine. So a request that moves to another engine goes on with the numbers it would have had.
 */
export class RandomStream {
  readonly #key: readonly [number, number];
  readonly #purpose: number;
  readonly #block = new Uint32Array(4);

  /** @param seed its low 64 bits are used. @param index tells apart streams of one seed and purpose (drawing 0, 1, …). */
  constructor(
    seed: bigint,
    purpose: RandomPurpose,
    readonly index = 0,
  ) {
    const bits = BigInt.asUintN(64, seed);
    this.#key = [Number(bits & 0xffffffffn), Number(bits >> 32n)];
    this.#purpose = randomPurpose[purpose];
  }

  #fill(position: number): Uint32Array {
    const high = Math.floor(position / 4294967296);
    return philox4x32([position >>> 0, high, this.index >>> 0, this.#purpose], this.#key, this.#block);
  }

  /** Number `position` (an integer from 0) of [0, 1), with 53 random bits. */
  uniform(position: number): number {
    const block = this.#fill(position);
    return ((block[0] as number) * 2097152 + ((block[1] as number) >>> 11)) / 9007199254740992;
  }

  /** The first `count` of the stream's standard normal numbers (Box-Muller, four from a block). */
  normals(count: number): Float32Array {
    const numbers = new Float32Array(count);
    for (let start = 0; start < count; start += 4) {
      const block = this.#fill(start / 4);
      for (let pair = 0; pair < 4; pair += 2) {
        // Half a unit off zero, so that the logarithm is finite.
        const radius = Math.sqrt(-2 * Math.log(((block[pair] as number) + 0.5) / 4294967296));
        const angle = (2 * Math.PI * (block[pair + 1] as number)) / 4294967296;
        // Writing past the end of a typed array does nothing, which is what the last block needs.
        numbers[start + pair] = radius * Math.cos(angle);
        numbers[start + pair + 1] = radius * Math.sin(angle);
      }
    }
    return numbers;
  }
}
