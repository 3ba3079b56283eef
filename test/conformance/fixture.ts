import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LlmSection, readBundle, type WeightKind } from '@tessera/bundle';
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
