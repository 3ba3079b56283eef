import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LlmSection, readBundle } from '@tessera/bundle';
import { compileCheckpoint, SafetensorsFile } from '@tessera/compiler';
import { layerOutput, writeWithLayerOutputs } from '@tessera/compiler/testing/layer-outputs';
import { createSession, type Session } from '@tessera/inference';
import { toyTokenizer } from '@tessera/testing/tokenizers/toy-tokenizer';

const fixtures = join(import.meta.dirname, 'fixtures');

/** The cases that generate.py has written. */
export const fixtureNames: readonly string[] = readdirSync(fixtures).sort();

type Weights = Parameters<typeof compileCheckpoint>[2]['weights'];

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

/** A fixture's checkpoint, compiled: as it is served, and once more with the hidden state after each layer. */
export class CompiledFixture implements AsyncDisposable {
  private constructor(
    readonly llm: LlmSection,
    readonly served: Session,
    readonly withLayers: Session,
    private readonly folder: string,
  ) {}

  static async create(name: string, weights: Weights): Promise<CompiledFixture> {
    const folder = mkdtempSync(join(tmpdir(), 'tessera-conformance-'));
    try {
      return await CompiledFixture.compile(name, weights, folder);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  private static async compile(name: string, weights: Weights, folder: string): Promise<CompiledFixture> {
    const checkpoint = copyCheckpoint(name, folder);
    await compileCheckpoint(checkpoint, join(folder, 'bundle'), { weights });
    const bundle = await readBundle(join(folder, 'bundle'));
    const llm = bundle.stage('llm');
    const shown = join(folder, 'with-layers.onnx');
    await writeWithLayerOutputs(checkpoint, shown, weights);
    const open = (path: string): Promise<Session> => createSession(path, { threads: 1, device: 'cpu' });
    return new CompiledFixture(llm, await open(bundle.file(llm.graph)), await open(shown), folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.served.release();
    await this.withLayers.release();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
