import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SafetensorsFile } from '@tessera/compiler';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { type TensorContent, writeSafetensors } from '../../packages/compiler/src/testing/write-safetensors.js';

const llmPrefix = 'language_model.';

/** Writes the demo model's LLM as a checkpoint of its own: no vision, nothing that draws. Returns its folder. */
export async function textOnlyModel(folder: string): Promise<string> {
  const model = join(folder, 'text-only');
  mkdirSync(model);
  const { text_config } = JSON.parse(readFileSync(join(demoModelDir, 'config.json'), 'utf8'));
  writeFileSync(join(model, 'config.json'), JSON.stringify(text_config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
    cpSync(join(demoModelDir, name), join(model, name));
  }
  const weights = await SafetensorsFile.open(join(demoModelDir, 'model.safetensors'));
  try {
    const tensors: Record<string, TensorContent> = {};
    for (const [name, { shape }] of weights.tensors) {
      if (!name.startsWith(llmPrefix)) continue;
      const { buffer, byteOffset, byteLength } = await weights.read(name);
      tensors[name.slice(llmPrefix.length)] = {
        dtype: 'F32',
        shape,
        data: new Uint8Array(buffer, byteOffset, byteLength),
      };
    }
    await writeSafetensors(join(model, 'model.safetensors'), tensors);
  } finally {
    await weights.close();
  }
  return model;
}
