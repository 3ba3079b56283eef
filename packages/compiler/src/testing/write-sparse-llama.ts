import { copyFile, mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { elementCount } from '@tessera/protocol';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { declaredParameters } from '../count-parameters.js';
import { planModel } from '../models/plan-model.js';

export interface SparseLlamaOptions {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly tied: boolean;
}

/**
 * Writes a checkpoint of the LLaMA family in float32 whose weights are holes in a file: all zero, as large as is wanted, and of no room
 * on a disk.
 * @param dir made where it is not there
 * @returns the bytes of the weights' file, and of its largest tensor
 */
export async function writeSparseLlama(
  dir: string,
  { vocabulary, hidden, inner, layers, tied }: SparseLlamaOptions,
): Promise<{ bytes: number; largest: number }> {
  await mkdir(dir, { recursive: true });
  const config = {
    model_type: 'llama',
    vocab_size: vocabulary,
    hidden_size: hidden,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: hidden / 64,
    num_key_value_heads: hidden / 64,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: tied,
    hidden_act: 'silu',
    eos_token_id: 2,
  };
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(demoModelDir, name), join(dir, name));
  let position = 0;
  let largest = 0;
  const entries = [...declaredParameters(planModel(config), 'llm')].map(([name, shape]) => {
    const bytes = 4 * elementCount(shape);
    const begin = position;
    position += bytes;
    largest = Math.max(largest, bytes);
    return [name, { dtype: 'F32', shape, data_offsets: [begin, position] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = await open(join(dir, 'model.safetensors'), 'w');
  try {
    await file.writeFile(Buffer.concat([length, header]));
    await file.truncate(length.length + header.length + position);
  } finally {
    await file.close();
  }
  return { bytes: length.length + header.length + position, largest };
}
