import type { ModelExecutor } from '../model/model-executor.js';
import type { ComputedRow, StepPlan, StepResult } from '../model/step-plan.js';

/** A real executor, some of whose steps go another way: what no input can be made to do. */
export function withExecute(inner: ModelExecutor, execute: ModelExecutor['execute']): ModelExecutor {
  return {
    vocabSize: inner.vocabSize,
    hiddenSize: inner.hiddenSize,
    get cacheBytes() {
      return inner.cacheBytes;
    },
    positionBytes: inner.positionBytes,
    slotBytesFor: (slots, positions) => inner.slotBytesFor(slots, positions),
    get missing() {
      return inner.missing;
    },
    onChange: (listener) => inner.onChange?.(listener),
    execute,
    release: () => inner.release(),
  };
}

/** A step's result with something else in place of what each row gave. */
export function mapComputed(result: StepResult, change: (row: ComputedRow) => ComputedRow): StepResult {
  if (!('rows' in result)) return result;
  return { rows: result.rows.map((row) => ('logits' in row ? change(row) : row)) };
}

/** A real executor, and the logits of all rows that it computed, in their order. */
export function recordingLogits(inner: ModelExecutor): { executor: ModelExecutor; logits: Float32Array[] } {
  const logits: Float32Array[] = [];
  const executor = withExecute(inner, async (plan) =>
    mapComputed(await inner.execute(plan), (row) => {
      logits.push(row.logits.slice());
      return row;
    }),
  );
  return { executor, logits };
}

/** Whether a row is one of a decode step, and no part of a prompt that is longer than one token. */
export function isDecode({ position, tokenIds }: StepPlan['rows'][number]): boolean {
  return position > 0 && tokenIds.length === 1;
}
