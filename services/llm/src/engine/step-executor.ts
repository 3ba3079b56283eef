import { TesseraError } from '@tessera/protocol';
import type { KvSlots } from '../kv/kv-slots.js';
import type { ModelRunner } from '../model/model-runner.js';
import type { StepPlan } from '../scheduler/scheduler.js';
import type { Sequence } from './sequence.js';

export interface StepExecutorOptions {
  readonly runner: ModelRunner;
  readonly slots: KvSlots<Sequence>;
  /** Told why a call of the runner failed. */
  readonly onStepFailed: ((error: unknown) => void) | undefined;
}

/** So many failures of one kind in a row are no longer the fault of what was computed. */
const maxFailuresInARow = 3;

/** Has the runner compute what a plan says, and hands each sequence its part. Counts what was done since the start. */
export class StepExecutor {
  steps = 0;
  busyMs = 0;
  prefillTokens = 0;
  decodeTokens = 0;
  readonly #runner: ModelRunner;
  readonly #slots: KvSlots<Sequence>;
  readonly #onStepFailed: ((error: unknown) => void) | undefined;
  readonly #failuresInARow = { decode: 0, prefill: 0 };

  constructor({ runner, slots, onStepFailed }: StepExecutorOptions) {
    this.#runner = runner;
    this.#slots = slots;
    this.#onStepFailed = onStepFailed;
  }

  /** @throws what the runner threw, once it has done so again and again */
  async execute({ decode, prefill }: StepPlan<Sequence>): Promise<void> {
    const startedMs = performance.now();
    if (!this.#makeRoom([...decode.map((sequence) => ({ sequence, count: 1 })), ...prefill])) return;
    // Decode first: a prompt that becomes complete in this step moves slots, and joins the batch in the next one.
    if (decode.length > 0) await this.#contain('decode', decode, () => this.#decode());
    const prefilled = prefill.map(({ sequence }) => sequence);
    if (prefill.length > 0) await this.#contain('prefill', prefilled, () => this.#prefill(prefill));
    this.steps++;
    this.busyMs += performance.now() - startedMs;
  }

  /**
   * Has the cache hold what the step adds. Where there is no memory for that, the longest of the sequences that need it
   * ends, and no step is taken: what it frees may do for the others, which lack nothing that they had.
   */
  #makeRoom(added: readonly { readonly sequence: Sequence; readonly count: number }[]): boolean {
    const { kv } = this.#runner;
    const needs = added.map(({ sequence, count }) => ({ sequence, rows: sequence.cachedTokens + count }));
    const longest = needs.reduce((most, { rows }) => Math.max(most, rows), this.#slots.longest());
    try {
      kv.fit(this.#slots.inUse, longest);
      return true;
    } catch (cause) {
      const unmet = needs.filter(({ sequence, rows }) => !kv.holds(sequence.slot, rows));
      const [victim] = unmet.sort((a, b) => b.rows - a.rows);
      if (victim === undefined) throw cause;
      this.#onStepFailed?.(cause);
      const message =
        `there is no memory for ${kv.bytesFor(this.#slots.inUse, longest)} bytes of KV cache; ` +
        'lower kv.maxBytes, or give the llm service more memory';
      victim.sequence.failure ??= new TesseraError('QUEUE_FULL', message, { cause });
      return false;
    }
  }

  /** A failure ends the sequences it befell, not the engine; unless nothing works any more. */
  async #contain(
    kind: 'decode' | 'prefill',
    sequences: readonly Sequence[],
    compute: () => Promise<void>,
  ): Promise<void> {
    try {
      await compute();
      this.#failuresInARow[kind] = 0;
    } catch (cause) {
      this.#onStepFailed?.(cause);
      for (const sequence of sequences) {
        sequence.failure ??= new TesseraError('INTERNAL', 'computing the answer failed', { cause });
      }
      if (++this.#failuresInARow[kind] >= maxFailuresInARow) throw cause;
    }
  }

  async #decode(): Promise<void> {
    const { hiddenSize, vocabSize } = this.#runner;
    const sequences = this.#slots.decoding();
    const { logits, hidden } = await this.#runner.decode({
      tokenIds: sequences.map(({ nextToken }) => nextToken),
      positions: sequences.map(({ cachedTokens }) => cachedTokens),
    });
    this.decodeTokens += sequences.length;
    for (const [row, sequence] of sequences.entries()) {
      advance(sequence, 1, rowOf(hidden, row, hiddenSize), rowOf(logits, row, vocabSize));
    }
  }

  async #prefill(chunks: StepPlan<Sequence>['prefill']): Promise<void> {
    const results = await this.#runner.prefill(
      chunks.map(({ sequence, count }) => {
        const from = sequence.cachedTokens;
        const to = from + count;
        sequence.startPrefill();
        return {
          slot: sequence.slot,
          position: from,
          tokenIds: sequence.promptSlice(from, to),
          media: sequence.tiles.rowsWithin(from, to),
        };
      }),
    );
    for (const [index, { sequence, count }] of chunks.entries()) {
      const result = results[index];
      if (result === undefined) continue;
      this.prefillTokens += count;
      advance(sequence, count, result.hidden, result.logits);
    }
    // Only now: a promotion moves another sequence's slot too, as far as that one says that it reaches.
    for (const { sequence } of chunks) {
      if (sequence.cachedTokens < sequence.promptTokens || sequence.hasEnded) continue;
      this.#slots.promote(sequence);
      sequence.isDecoding = true;
    }
  }
}

function advance(sequence: Sequence, positions: number, hidden: Float32Array, logits: Float32Array): void {
  try {
    sequence.advance(positions, hidden, logits);
  } catch (error) {
    // What one sequence's numbers are wrong in says nothing of the others.
    sequence.failure ??= TesseraError.from(error);
  }
}

function rowOf(values: Float32Array, row: number, width: number): Float32Array {
  return values.subarray(row * width, (row + 1) * width);
}
