import type { Tensor } from '@tessera/protocol';
import type { ComputedRow, PlannedRow } from './step-plan.js';

const noNumbers = new Float32Array(0);

/**
 * What the rows of a call gave, as views of the graph's `logits` and `hidden`.
 * @param seq positions that each row is padded to
 */
export function computedRows(
  outputs: Readonly<Record<string, Tensor>>,
  rows: readonly PlannedRow[],
  { seq, vocabSize, hiddenSize }: { seq: number; vocabSize: number; hiddenSize: number },
): ComputedRow[] {
  const logits = outputs.logits?.data as Float32Array;
  const hidden = outputs.hidden?.data as Float32Array;
  let taken = 0;
  return rows.map(({ tokenIds, wantedLogits, wantsHidden }, index) => {
    const from = taken;
    taken += wantedLogits * vocabSize;
    return {
      logits: logits.subarray(from, taken),
      hidden: wantsHidden
        ? hidden.subarray(index * seq * hiddenSize, (index * seq + tokenIds.length) * hiddenSize)
        : noNumbers,
    };
  });
}
