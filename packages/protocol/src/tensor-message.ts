import { TesseraError } from './errors.js';
import { DataType, type TensorMessage } from './messages.js';
import { type Float32Tensor, type Tensor, tensorBytes, tensorFromBytes, toFloat16, toFloat32 } from './tensor.js';

/** The wire form of a float tensor; `as` chooses the precision it travels in. */
export function encodeTensor(source: Float32Tensor, as: 'float16' | 'float32'): TensorMessage {
  const wire: Tensor = as === 'float16' ? toFloat16(source) : source;
  return {
    dataType: as === 'float16' ? DataType.FLOAT16 : DataType.FLOAT32,
    shape: [...source.shape],
    data: Buffer.from(tensorBytes(wire)),
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
