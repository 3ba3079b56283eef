import { widenFloat16 } from '@tessera/protocol';

/** Bytes of an element of each type that becomes float32, exactly. F8_E4M3 is the one without infinities (e4m3fn). */
export const readBytes = { F32: 4, F16: 2, BF16: 2, F8_E4M3: 1 } as const;

export type ReadType = keyof typeof readBytes;

export const isReadType = (dtype: string): dtype is ReadType => Object.hasOwn(readBytes, dtype);

/** Where bytes of a type are put that `widen` then makes into the values of `target`: at its end. */
export function rawPart(dtype: ReadType, target: Float32Array): Uint8Array {
  const bytes = target.length * readBytes[dtype];
  return new Uint8Array(target.buffer, target.byteOffset + target.byteLength - bytes, bytes);
}

/**
 * Makes float32 of what lies at the end of `target`, in place: a value is written where nothing is left to be read, since each
 * element lies behind its value or begins with it.
 */
export function widen(dtype: ReadType, target: Float32Array): void {
  const raw = rawPart(dtype, target);
  if (dtype === 'F16') {
    widenFloat16(new Uint16Array(raw.buffer, raw.byteOffset, target.length), target);
  } else if (dtype === 'BF16') {
    widenBFloat16(new Uint16Array(raw.buffer, raw.byteOffset, target.length), target);
  } else if (dtype === 'F8_E4M3') {
    for (let i = 0; i < raw.length; i++) target[i] = float8Values[raw[i] as number] as number;
  }
}

/** What `from` holds in bfloat16, which may lie at the end of `target`. */
export function widenBFloat16(from: Uint16Array, target: Float32Array): void {
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < bits.length; i++) bits[i] = (from[i] as number) << 16;
}

/** A sign, four bits of exponent (bias 7), three of mantissa; all ones is no number. */
const float8Values = Float32Array.from({ length: 256 }, (_, bits) => {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >> 3) & 15;
  const mantissa = bits & 7;
  if ((bits & 0x7f) === 0x7f) return Number.NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7));
});

/** The first value that is infinite or no number; -1 where there is none. */
export function firstNotFinite(values: Float32Array): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) if (((bits[i] as number) & 0x7f800000) === 0x7f800000) return i;
  return -1;
}
