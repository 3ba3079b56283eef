// First: it must be evaluated before the library is loaded.
import '../no-telemetry.js';
import type { Tensor } from '@tessera/protocol';
import { Tensor as OrtTensor } from 'onnxruntime-node';

/**
 * A tensor as onnxruntime-node takes it, over the same memory. Its native part reads float16 as bits of a Uint16Array, of which
 * its own Tensor makes a Float16Array where there is one (from Node 24 on); of that it then finds no bytes.
 */
export function ortTensor({ dtype, shape, data }: Tensor): OrtTensor {
  if (dtype !== 'float16') return new OrtTensor(dtype, data as Float32Array, shape);
  return Object.assign(new OrtTensor('uint16', data as Uint16Array, shape), { type: dtype }) as unknown as OrtTensor;
}

/** The elements of a tensor that it gave, over the same memory: float16 as bits, whatever it has made of them. */
export function elementsOf({ type, data }: OrtTensor): Tensor['data'] {
  if (type !== 'float16') return data as Tensor['data'];
  const { buffer, byteOffset, length } = data as unknown as Uint16Array;
  return new Uint16Array(buffer, byteOffset, length);
}
