import type { Tensor } from '@tessera/protocol';
import type { ComputedRow, PlannedRow } from './step-plan.js';

const noNumbers = new Float32Array(0);

/**
 * What one row of a call gave, as views of the graph's `logits` and `hidden`.
 * @param index its place in the batch, whose rows are padded to `seq` positions
 */
export function computedRow(
  outputs: Readonly<Record<string, Tensor>>,
  { tokenIds, wantsHidden }: PlannedRow,
  { index, seq, vocabSize, hiddenSize }: { index: number; seq: number; vocabSize: number; hiddenSize: number },
): ComputedRow {
  const logits = outputs.logits?.data as Float32Array;
  const hidden = outputs.hidden?.data as Float32Array;
  return {
    logits: logits.subarray(index * vocabSize, (index + 1) * vocabSize),
    hidden: wantsHidden
      ? hidden.subarray(index * seq * hiddenSize, (index * seq + tokenIds.length) * hiddenSize)
      : noNumbers,
  };
}
