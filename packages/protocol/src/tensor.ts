import { TesseraError } from './errors.js';
import { narrowToFloat16, widenFloat16 } from './float16.js';

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

/** float32 to float16, the form in which features and visual tokens travel. */
export function toFloat16(source: Float32Tensor): Float16Tensor {
  return { dtype: 'float16', shape: source.shape, data: narrowToFloat16(source.data) };
}

/** float16 to float32, exactly. */
export function toFloat32(source: Float16Tensor): Float32Tensor {
  return { dtype: 'float32', shape: source.shape, data: widenFloat16(source.data) };
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

/** Room for so many elements, all of them 0. */
export function zeros<D extends DType>(dtype: D, length: number): ArrayOf[D] {
  return new arrayTypes[dtype](length) as ArrayOf[D];
}

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
