import { TesseraError } from './errors.js';
import { bytesPerElement, elementCount, type Float32Tensor, tensor } from './tensor.js';

/** How many rows of a tensor fit one part, as float16. */
function rowsPerPart(rowElements: number, partBytes: number): number {
  const rowBytes = rowElements * bytesPerElement.float16;
  if (rowBytes > partBytes) {
    throw new TesseraError(
      'MESSAGE_TOO_LARGE',
      `a tensor row of ${rowBytes} bytes does not fit a part: the limit is ${partBytes} bytes`,
    );
  }
  return rowBytes === 0 ? Number.MAX_SAFE_INTEGER : Math.floor(partBytes / rowBytes);
}

/**
 * Cuts a tensor [rows, ...] into runs of whole rows that take at most `partBytes` each as float16. Views: nothing is
 * copied. An empty tensor is one part.
 * @throws TesseraError MESSAGE_TOO_LARGE when one row alone is larger; TENSOR_INVALID for a scalar
 */
export function splitRows(source: Float32Tensor, partBytes: number): Float32Tensor[] {
  const [rows, ...rest] = source.shape;
  if (rows === undefined) throw new TesseraError('TENSOR_INVALID', 'a scalar cannot be cut into rows');
  const rowElements = rest.reduce((product, size) => product * size, 1);
  const step = rowsPerPart(rowElements, partBytes);
  if (rows <= step) return [source];
  const parts: Float32Tensor[] = [];
  for (let first = 0; first < rows; first += step) {
    const end = Math.min(rows, first + step);
    parts.push(tensor('float32', [end - first, ...rest], source.data.subarray(first * rowElements, end * rowElements)));
  }
  return parts;
}

/**
 * Puts runs of rows back together.
 * @throws TesseraError TENSOR_INVALID when the rows have different shapes
 */
export function joinRows(parts: readonly Float32Tensor[]): Float32Tensor {
  const [first] = parts;
  if (first === undefined) throw new TesseraError('TENSOR_INVALID', 'a tensor of no parts');
  if (parts.length === 1) return first;
  const rest = first.shape.slice(1);
  let rows = 0;
  for (const part of parts) {
    if (part.shape.length !== first.shape.length || part.shape.slice(1).some((size, axis) => size !== rest[axis])) {
      throw new TesseraError(
        'TENSOR_INVALID',
        `parts of one tensor have rows of different shapes: [${first.shape.join(', ')}] and [${part.shape.join(', ')}]`,
      );
    }
    rows += part.shape[0] ?? 0;
  }
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let offset = 0;
  for (const part of parts) {
    data.set(part.data, offset);
    offset += part.data.length;
  }
  return tensor('float32', [rows, ...rest], data);
}

/**
 * Refuses a tensor that takes too much on its way, as float16.
 * @throws TesseraError MESSAGE_TOO_LARGE
 */
export function checkTensorBytes(shape: readonly number[], maxBytes: number): void {
  const bytes = elementCount(shape) * bytesPerElement.float16;
  if (bytes <= maxBytes) return;
  throw new TesseraError(
    'MESSAGE_TOO_LARGE',
    `a tensor of shape [${shape.join(', ')}] takes ${bytes} bytes: the limit is ${maxBytes} bytes`,
  );
}
