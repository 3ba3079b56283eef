import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KvCacheType, type LlmSection, readBundle, type WeightKind } from '@tessera/bundle';
import { compileCheckpoint } from '@tessera/compiler';
import { copyCheckpoint } from '@tessera/compiler/testing/conformance';
import { writeWithLayerOutputs } from '@tessera/compiler/testing/layer-outputs';
import { createSession, type Session } from '@tessera/inference';

export { copyCheckpoint, fixtureNames, type Reference, readReference } from '@tessera/compiler/testing/conformance';

type Weights = WeightKind;

/** A fixture's checkpoint, compiled: as it is served, and once more with the hidden state after each layer. */
export class CompiledFixture implements AsyncDisposable {
  private constructor(
    readonly llm: LlmSection,
    readonly served: Session,
    readonly withLayers: Session,
    private readonly folder: string,
  ) {}

  static async create(name: string, weights: Weights, kvCache?: KvCacheType): Promise<CompiledFixture> {
    const folder = mkdtempSync(join(tmpdir(), 'tessera-conformance-'));
    try {
      return await CompiledFixture.compile(folder, name, weights, kvCache);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  private static async compile(
    folder: string,
    name: string,
    weights: Weights,
    kvCache: KvCacheType | undefined,
  ): Promise<CompiledFixture> {
    const checkpoint = copyCheckpoint(name, folder);
    await compileCheckpoint(checkpoint, join(folder, 'bundle'), { weights, kvCache });
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
