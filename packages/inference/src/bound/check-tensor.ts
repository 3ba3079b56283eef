import { bytesPerElement, elementCount, TesseraError } from '@tessera/protocol';
import type { GraphDriver } from './graph-driver.js';
import { HeldMemory } from './held-memory.js';
import type { PlacedTensor, TensorPort } from './placed-tensor.js';

/** Whether a tensor can stand at an input or output. @throws TesseraError TENSOR_INVALID that names the port */
export function checkTensor(driver: GraphDriver, port: TensorPort, tensor: PlacedTensor): void {
  const { name, dtype, shape } = port;
  if (tensor.dtype !== dtype) throw invalid(`${name} must be ${dtype}, not ${tensor.dtype}`);
  const fits =
    tensor.shape.length === shape.length &&
    tensor.shape.every((size, at) => {
      const wanted = shape[at];
      return Number.isSafeInteger(size) && size >= 0 && (typeof wanted === 'string' || wanted === size);
    });
  if (!fits) {
    const wanted = shape.map((size) => (size === '' ? '?' : size)).join(', ');
    throw invalid(`${name} must be [${wanted}], not [${tensor.shape.join(', ')}]`);
  }
  if ('data' in tensor && !(tensor.data.buffer instanceof ArrayBuffer)) {
    throw invalid(`${name} lies in shared memory, which cannot be bound`);
  }
  if ('memory' in tensor && !(tensor.memory instanceof HeldMemory && tensor.memory.driver === driver)) {
    throw invalid(`the memory of ${name} was not allocated by this session`);
  }
  checkPlace(name, tensor);
}

/** Whether the memory of a tensor is still there and holds its shape. @throws TesseraError TENSOR_INVALID */
export function checkPlace(name: string, tensor: PlacedTensor): void {
  const elements = elementCount(tensor.shape);
  if ('data' in tensor) {
    if (tensor.data.length !== elements) {
      const shape = tensor.shape.join(', ');
      throw invalid(`${name} of shape [${shape}] needs ${elements} elements; its array has ${tensor.data.length}`);
    }
    return;
  }
  const { memory, byteOffset, dtype } = tensor;
  const bytes = elements * bytesPerElement[dtype];
  if (memory instanceof HeldMemory && memory.isReleased) throw invalid(`the memory of ${name} was released`);
  if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || byteOffset % bytesPerElement[dtype] !== 0) {
    throw invalid(`${name} begins at byte ${byteOffset}, which is no multiple of its element's size`);
  }
  if (byteOffset + bytes > memory.bytes) {
    throw invalid(`${name} ends at byte ${byteOffset + bytes} of a memory of ${memory.bytes}`);
  }
}

function invalid(problem: string): TesseraError {
  return new TesseraError('TENSOR_INVALID', problem);
}
