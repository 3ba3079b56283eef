import type { WeightPrecision } from '../graph/index.js';
import type { StoredTensor } from './gguf-file.js';
import { symmetricTypes } from './symmetric-blocks.js';

/**
 * The kind of weights that loses nothing of what a file stores in its layers' weights, or next to nothing, and is no larger than
 * it must be: int4 where all of them have four bits that stay as they are; int8 where some are rounded to blocks at all, which
 * keeps those of four, five, six and eight bits that MatMulNBits can hold, and whose steps are finer than those of the others: of
 * four bits and a minimum 8.5 to 17 times, of five 4 to 8 times (127 steps to the peak against 15 or 31 over the range, which is
 * one peak wide to two); float16 and float32 where none is.
 */
export function storedWeights(tensors: Iterable<StoredTensor>): WeightPrecision {
  const types = new Set<string>();
  for (const { name, type, shape } of tensors) {
    const isLinear = /^blk\.\d+\.(attn|ffn)_.*weight$/.test(name) && !name.includes('ffn_gate_inp');
    if (isLinear && shape.length > 1) types.add(type.name);
  }
  const all = (fits: (type: string) => boolean): boolean => [...types].every(fits);
  if (all((type) => symmetricTypes[type]?.bits === 4)) return 'int4';
  if (all((type) => type === 'F16')) return 'float16';
  return all((type) => type === 'F16' || type === 'F32' || type === 'BF16') ? 'float32' : 'int8';
}
