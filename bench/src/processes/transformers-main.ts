import { TransformersModel } from '../subjects/transformers-js.js';
import { timed } from '../taken.js';
import { answerCalls } from './answer-calls.js';

let model: TransformersModel;
let sequences: ReturnType<TransformersModel['sequences']>;

/**
 * A model in transformers.js, in a process of its own: each step leaves copies of the whole cache to the garbage collector, which
 * would otherwise be paid by whatever is measured next.
 */
const calls = {
  async open({ path, folder, dtype }: { path: string; folder: string; dtype: string }): Promise<void> {
    model = await TransformersModel.open(path, folder, dtype);
  },

  async prepare({ count, past }: { count: number; past: number }): Promise<void> {
    sequences = model.sequences(count, past);
  },

  /** @returns processor time, milliseconds */
  async run({ what }: { what: 'decode' | 'prefill' }): Promise<number> {
    return (await timed(() => sequences[what]())).processorMs;
  },
};

export type TransformersCalls = typeof calls;

answerCalls(calls);
