import { TesseraError } from './errors.js';
import { DataType, type TensorMessage, type TensorPart } from './messages.js';
import { type Float32Tensor, tensorBytes, tensorFromBytes, toFloat16, toFloat32 } from './tensor.js';

/** The wire form of a float tensor; `as` chooses the precision it travels in. */
export function encodeTensor(source: Float32Tensor, as: 'float16' | 'float32'): TensorMessage {
  const message = viewTensor(source, as);
  return as === 'float16' ? message : { ...message, data: Buffer.from(message.data) };
}

/** The same, but as float32 its bytes are the tensor's own: for a message that is encoded before those change. */
export function viewTensor(source: Float32Tensor, as: 'float16' | 'float32'): TensorMessage {
  const { buffer, byteOffset, length } = tensorBytes(as === 'float16' ? toFloat16(source) : source);
  return {
    dataType: as === 'float16' ? DataType.FLOAT16 : DataType.FLOAT32,
    shape: [...source.shape],
    data: Buffer.from(buffer, byteOffset, length),
  };
}

/**
 * A float32 tensor from the wire.
 * @param field where it stands in its message, for the error
 * @throws TesseraError TENSOR_INVALID on an unknown type, or bytes that do not fill the shape
 */
export function decodeTensor(message: TensorMessage | undefined, field?: string): Float32Tensor {
  try {
    return decode(message);
  } catch (reason) {
    throw field === undefined ? reason : TesseraError.from(reason).inField(field);
  }
}

function decode(message: TensorMessage | undefined): Float32Tensor {
  if (message === undefined) throw new TesseraError('TENSOR_INVALID', 'a tensor is missing');
  switch (message.dataType) {
    case DataType.FLOAT32:
      return tensorFromBytes('float32', message.shape, message.data);
    case DataType.FLOAT16:
      return toFloat32(tensorFromBytes('float16', message.shape, message.data));
    default:
      throw new TesseraError('TENSOR_INVALID', 'a tensor says no data type; send FLOAT16 or FLOAT32');
  }
}

/** The most bytes of data in one part of a media item or a tensor: what the contract says. It fits into a NATS message. */
export const maxPartBytes = 512 * 1024;

/** The wire form of a float tensor that may not fit into one message; `as` chooses the precision it travels in. */
export function* encodeTensorParts(source: Float32Tensor, as: 'float16' | 'float32'): Generator<TensorPart> {
  const { dataType, shape, data } = encodeTensor(source, as);
  for (let at = 0; at === 0 || at < data.length; at += maxPartBytes) {
    const part = { data: data.subarray(at, at + maxPartBytes), last: at + maxPartBytes >= data.length };
    yield at === 0 ? { dataType, shape, ...part } : { dataType: DataType.UNSPECIFIED, shape: [], ...part };
  }
}

/** Puts tensors together that come in parts, one after the other. */
export class TensorCollector {
  readonly #maxElements: number;
  readonly #field: string;
  #first: TensorPart | undefined;
  #data = new Uint8Array(0);
  #received = 0;

  /**
   * @param maxElements what a tensor may hold; a larger one is refused by its shape, before there is memory for it
   * @param field where the parts stand in their message, for errors
   */
  constructor(maxElements: number, field: string) {
    this.#maxElements = maxElements;
    this.#field = field;
  }

  /** Whether a tensor has begun and not ended. */
  get isOpen(): boolean {
    return this.#first !== undefined;
  }

  /**
   * Takes the next part.
   * @returns the tensor, float32, with its last part
   * @throws TesseraError TENSOR_INVALID, MESSAGE_TOO_LARGE
   */
  add(part: TensorPart | undefined): Float32Tensor | undefined {
    if (part === undefined) throw this.#invalid('a part is missing');
    const { data, last } = part;
    if (data.length > maxPartBytes) {
      throw new TesseraError('MESSAGE_TOO_LARGE', `a part has ${data.length} bytes; the limit is ${maxPartBytes}`, {
        field: `${this.#field}.data`,
      });
    }
    if (this.#first === undefined) this.#begin(part);
    else if (part.shape.length > 0 || part.dataType !== DataType.UNSPECIFIED) {
      throw this.#invalid('a later part says type or shape; only the first part of a tensor does');
    }
    if (this.#received + data.length > this.#data.length) {
      throw this.#invalid(`the parts hold more than the ${this.#data.length} bytes that the shape asks for`);
    }
    this.#data.set(data, this.#received);
    this.#received += data.length;
    if (!last) return undefined;
    if (this.#received < this.#data.length) {
      throw this.#invalid(`the parts hold ${this.#received} bytes; the shape asks for ${this.#data.length}`);
    }
    const { dataType, shape } = this.#first as TensorPart;
    this.#first = undefined;
    return decodeTensor({ dataType, shape, data: this.#data }, this.#field);
  }

  #begin(part: TensorPart): void {
    const { dataType, shape } = part;
    if (dataType !== DataType.FLOAT16 && dataType !== DataType.FLOAT32) {
      throw this.#invalid('the first part of a tensor says no data type; send FLOAT16 or FLOAT32');
    }
    const elements = shape.reduce((product, size) => product * size, 1);
    if (shape.length === 0 || elements > this.#maxElements) {
      const size = shape.length === 0 ? 'no shape' : `${shape.join(' x ')} elements`;
      throw this.#invalid(`the tensor has ${size}; at most ${this.#maxElements} elements are taken`);
    }
    this.#first = part;
    this.#data = new Uint8Array(elements * (dataType === DataType.FLOAT16 ? 2 : 4));
    this.#received = 0;
  }

  #invalid(problem: string): TesseraError {
    return new TesseraError('TENSOR_INVALID', problem, { field: this.#field });
  }
}
