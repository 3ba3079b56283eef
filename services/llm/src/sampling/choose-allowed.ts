import type { TokenMask } from '../constraint/token-mask.js';

/** Scratch for one row at a time; sampling is synchronous, so all samplers of a thread share it. */
let scratch = new Float32Array(0);

/**
 * Chooses among the tokens of a mask.
 * @param logits one row, [vocab]
 * @param choose chooses from a row, where -Infinity is what may not be chosen; gives a place in it
 */
export function chooseAllowed(logits: Float32Array, mask: TokenMask, choose: (row: Float32Array) => number): number {
  if (scratch.length < logits.length) scratch = new Float32Array(logits.length);
  if (mask.type === 'few') {
    const { ids } = mask;
    for (let n = 0; n < ids.length; n++) scratch[n] = logits[ids[n] as number] as number;
    return ids[choose(scratch.subarray(0, ids.length))] as number;
  }
  const { bits } = mask;
  const row = scratch.subarray(0, logits.length);
  row.set(logits);
  for (let word = 0; word < bits.length; word++) {
    for (let left = ~(bits[word] as number); left !== 0; left &= left - 1) {
      // Beyond the end of the row nothing is written.
      row[word * 32 + 31 - Math.clz32(left & -left)] = Number.NEGATIVE_INFINITY;
    }
  }
  return choose(row);
}
