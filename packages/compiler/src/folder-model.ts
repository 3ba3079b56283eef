import { join } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import { Checkpoint } from './checkpoint/checkpoint.js';
import type { CheckpointTokenizer } from './checkpoint/checkpoint-tokenizer.js';
import type { Parameter } from './checkpoint/parameters.js';
import type { ConfigFile, PublishedModel, PublishedTensorInfo } from './checkpoint/published-model.js';
import { readJson } from './checkpoint/read-json.js';
import { readTokenizer } from './tokenizer-files.js';

/** A model in a folder of Hugging Face's layout: its configs, its tokenizer's files and its weights, where there are any. */
export class FolderModel implements PublishedModel {
  private constructor(private readonly checkpoint: Checkpoint) {}

  /** @throws TesseraError CHECKPOINT_INVALID naming the file at fault */
  static async open(dir: string): Promise<FolderModel> {
    return new FolderModel(await Checkpoint.open(dir));
  }

  async json(name: ConfigFile): Promise<unknown> {
    const { dir } = this.checkpoint;
    const parsed = await readJson(dir, name);
    if (parsed !== undefined || name !== 'config.json') return parsed;
    throw new TesseraError('CHECKPOINT_INVALID', `${join(dir, name)}: is missing`);
  }

  get hasWeights(): boolean {
    return this.checkpoint.hasWeights;
  }

  tensors(): Iterable<PublishedTensorInfo> {
    return this.checkpoint.tensors();
  }

  parameter(name: string, shape: readonly number[]): Parameter {
    return this.checkpoint.parameter(name, shape);
  }

  tokenizer(): Promise<CheckpointTokenizer> {
    return readTokenizer(this.checkpoint.dir);
  }

  close(): Promise<void> {
    return this.checkpoint.close();
  }
}
