import type { CheckpointTokenizer } from './checkpoint-tokenizer.js';
import type { ParameterSource } from './parameters.js';

/** The small files that say what a model is. */
export type ConfigFile = 'config.json' | 'generation_config.json' | 'preprocessor_config.json';

/** A tensor that a model publishes. */
export interface PublishedTensorInfo {
  readonly name: string;
  /** As the file calls it. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** The path of the file that has it. */
  readonly file: string;
}

/** A model as somebody publishes it, in whatever files: what is compiled is read through here. */
export interface PublishedModel extends ParameterSource {
  /**
   * What such a file says, parsed; undefined where there is none.
   * @throws TesseraError CHECKPOINT_INVALID naming a file that cannot be read so
   */
  json(name: ConfigFile): Promise<unknown>;
  /** Whether there are weights; without, a model can be inspected. */
  readonly hasWeights: boolean;
  tensors(): Iterable<PublishedTensorInfo>;
  /**
   * What prompts are built with.
   * @throws TesseraError CHECKPOINT_INVALID naming the file at fault
   */
  tokenizer(): Promise<CheckpointTokenizer>;
  close(): Promise<void>;
}
