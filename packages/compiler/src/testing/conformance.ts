import { cpSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { toyTokenizer } from '@tessera/testing/tokenizers/toy-tokenizer';
import { SafetensorsFile } from '../checkpoint/safetensors.js';
import { layerOutput } from './layer-outputs.js';

const fixtures = join(root, 'test/conformance/fixtures');

/** The cases that generate.py has written. */
export const fixtureNames: readonly string[] = readdirSync(fixtures).sort();

/** What transformers computes of a toy model: see generate.py. */
export interface Reference {
  readonly prompt: readonly number[];
  readonly continuation: readonly number[];
  /** [n, hidden] after each layer, before the last norm. */
  readonly layers: readonly Float32Array[];
  /** [n, hidden]. */
  readonly hidden: Float32Array;
  /** [n, vocab], at every position of the prompt. */
  readonly logits: Float32Array;
  /** [steps, vocab], after each token of the continuation. */
  readonly stepLogits: Float32Array;
}

export async function readReference(name: string): Promise<Reference> {
  const file = await SafetensorsFile.open(join(fixtures, name, 'reference.safetensors'));
  try {
    const layers = [...file.tensors.keys()].filter((tensor) => tensor.startsWith('layer.')).length;
    return {
      prompt: [...(await file.read('prompt'))],
      continuation: [...(await file.read('continuation'))],
      layers: await Promise.all(Array.from({ length: layers }, (_, layer) => file.read(layerOutput(layer)))),
      hidden: await file.read('hidden'),
      logits: await file.read('logits'),
      stepLogits: await file.read('step_logits'),
    };
  } finally {
    await file.close();
  }
}

/** Puts a fixture's checkpoint into a folder, as one that can be compiled. Returns where it is. */
export function copyCheckpoint(name: string, folder: string): string {
  const checkpoint = join(folder, name);
  const published = (path: string): boolean => !path.endsWith('reference.safetensors');
  cpSync(join(fixtures, name), checkpoint, { recursive: true, filter: published });
  writeFileSync(join(checkpoint, 'tokenizer.json'), JSON.stringify(toyTokenizer()));
  return checkpoint;
}
