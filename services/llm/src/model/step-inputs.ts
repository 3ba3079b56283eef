import type { Tensor } from '@tessera/protocol';
import type { PlannedRow } from './step-plan.js';

/** The graph's inputs but for the past: rows padded on the right to the longest. */
export function batchInputs(rows: readonly PlannedRow[], hiddenSize: number): Record<string, Tensor> {
  const batch = rows.length;
  const seq = rows.reduce((longest, { tokenIds }) => Math.max(longest, tokenIds.length), 0);
  const mediaRows = rows.reduce((sum, { media }) => sum + media.reduce((n, m) => n + m.rows.length / hiddenSize, 0), 0);
  const ids = new BigInt64Array(batch * seq);
  const positions = new BigInt64Array(batch * seq);
  const lastPositions = new Int32Array(batch);
  const logitPositions: bigint[] = [];
  const media = new Float32Array(mediaRows * hiddenSize);
  const mediaPositions = new BigInt64Array(mediaRows * 2);
  let total = 0;
  let placed = 0;
  for (const [row, step] of rows.entries()) {
    const count = step.tokenIds.length;
    for (let column = 0; column < seq; column++) {
      // Padding repeats position 0 of the row's past: it must be a position that exists, nothing reads the result.
      if (column < count) ids[row * seq + column] = BigInt(step.tokenIds[column] as number);
      positions[row * seq + column] = column < count ? BigInt(step.position + column) : 0n;
    }
    lastPositions[row] = step.position + count - 1;
    for (let column = count - step.wantedLogits; column < count; column++) {
      logitPositions.push(BigInt(row), BigInt(column));
    }
    total = Math.max(total, step.position + count);
    for (const { column, rows: embeddings } of step.media) {
      media.set(embeddings, placed * hiddenSize);
      for (let n = 0; n < embeddings.length / hiddenSize; n++, placed++) {
        mediaPositions[placed * 2] = BigInt(row);
        mediaPositions[placed * 2 + 1] = BigInt(column + n);
      }
    }
  }
  return {
    input_ids: { dtype: 'int64', shape: [batch, seq], data: ids },
    media_embeddings: { dtype: 'float32', shape: [mediaRows, hiddenSize], data: media },
    media_positions: { dtype: 'int64', shape: [mediaRows, 2], data: mediaPositions },
    position_ids: { dtype: 'int64', shape: [batch, seq], data: positions },
    seqlens_k: { dtype: 'int32', shape: [batch], data: lastPositions },
    total_sequence_length: { dtype: 'int32', shape: [1], data: Int32Array.of(total) },
    logit_positions: {
      dtype: 'int64',
      shape: [logitPositions.length / 2, 2],
      data: BigInt64Array.from(logitPositions),
    },
  };
}
