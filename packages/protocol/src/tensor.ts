import { TesseraError } from './errors.js';

/** Element types that cross a graph or a wire. Names are ONNX's. */
export type DType = 'float32' | 'float16' | 'int64' | 'int32' | 'uint8' | 'int8' | 'bool';

/** float16 is held as raw bits in a Uint16Array: Node 20 has no Float16Array. */
interface ArrayOf {
  float32: Float32Array;
  float16: Uint16Array;
  int64: BigInt64Array;
  int32: Int32Array;
  uint8: Uint8Array;
  int8: Int8Array;
  bool: Uint8Array;
}

/** A dense row-major tensor. `data.length` is the product of `shape`. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: ArrayOf[D];
}

export type Float32Tensor = Tensor<'float32'>;
export type Float16Tensor = Tensor<'float16'>;

export const bytesPerElement: Readonly<Record<DType, number>> = {
  float32: 4,
  float16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  int8: 1,
  bool: 1,
};

/** The number of elements a shape holds; 1 for a scalar (`[]`). */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Makes a tensor and checks that the data fills the shape exactly. */
export function tensor<D extends DType>(dtype: D, shape: readonly number[], data: ArrayOf[D]): Tensor<D> {
  if (data.length !== elementCount(shape)) {
    throw new TesseraError(
      'TENSOR_INVALID',
      `a ${dtype} tensor of shape [${shape.join(', ')}] needs ${elementCount(shape)} elements, not ${data.length}`,
    );
  }
  return { dtype, shape, data };
}

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** Rounds to the nearest float16, ties to even; beyond 65504 it becomes infinity, as IEEE 754 says. */
function halfBits(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal: the unit is 2^-24, and rounding a double that small is exact.
    const units = Math.abs(value) * 16777216;
    const floor = Math.floor(units);
    const rest = units - floor;
    return sign | (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

let halfTable: Float32Array | undefined;

/** All 65536 values once: a table look-up is faster than bit arithmetic for whole tensors. */
function halfValues(): Float32Array {
  if (halfTable !== undefined) return halfTable;
  halfTable = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >>> 10) & 31;
    const mantissa = bits & 1023;
    halfTable[bits] =
      exponent === 0
        ? sign * mantissa * 2 ** -24
        : exponent === 31
          ? mantissa
            ? Number.NaN
            : sign * Number.POSITIVE_INFINITY
          : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
  }
  return halfTable;
}

/** float32 to float16, the form in which features and visual tokens travel. */
export function toFloat16(source: Float32Tensor): Float16Tensor {
  const data = new Uint16Array(source.data.length);
  for (let i = 0; i < data.length; i++) data[i] = halfBits(source.data[i] as number);
  return { dtype: 'float16', shape: source.shape, data };
}

/** float16 to float32, exactly. */
export function toFloat32(source: Float16Tensor): Float32Tensor {
  const values = halfValues();
  const data = new Float32Array(source.data.length);
  for (let i = 0; i < data.length; i++) data[i] = values[source.data[i] as number] as number;
  return { dtype: 'float32', shape: source.shape, data };
}

const arrayTypes = {
  float32: Float32Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
} as const;

/** The tensor's bytes, little-endian, as a view: nothing is copied. */
export function tensorBytes(source: Tensor): Uint8Array {
  return new Uint8Array(source.data.buffer, source.data.byteOffset, source.data.byteLength);
}

/**
 * A tensor over little-endian bytes from the wire. Copies only when the bytes are not aligned to the element size.
 * @throws TesseraError TENSOR_INVALID when the byte count does not fit the shape
 */
export function tensorFromBytes<D extends DType>(dtype: D, shape: readonly number[], bytes: Uint8Array): Tensor<D> {
  const size = bytesPerElement[dtype];
  if (shape.some((n) => !Number.isSafeInteger(n) || n < 0) || bytes.length !== elementCount(shape) * size) {
    throw new TesseraError(
      'TENSOR_INVALID',
      `${bytes.length} bytes do not hold a ${dtype} tensor of shape [${shape.join(', ')}]`,
    );
  }
  const aligned = bytes.byteOffset % size === 0 ? bytes : Uint8Array.from(bytes);
  const data = new arrayTypes[dtype](aligned.buffer as ArrayBuffer, aligned.byteOffset, bytes.length / size);
  return { dtype, shape, data: data as ArrayOf[D] };
}
