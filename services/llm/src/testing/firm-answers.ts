import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { engineCoreOptions } from '../engine/create-engine-core.js';
import { LlmEngine } from '../engine/llm-engine.js';
import { loadPromptBuilder } from '../prompt/load-prompt-builder.js';
import { type Answer, collect, DemoEngine, testLimits, user, wholePicture } from './demo-engine.js';
import { mapComputed, withExecute } from './with-execute.js';

/** Several times what kernels and CPUs differ by (docs/architecture.md, "What is equal to what"): share of the peak. */
const roundingNoise = 3e-6;

/**
 * An engine whose logits are all a little off, each time otherwise. An answer that it writes as any other engine does is
 * firm: none of its choices lies within rounding, so every path of arithmetic must give it. Tests that compare tokens
 * of different paths (takeovers, batches, chunks) ask for firm answers only.
 */
async function unsteadyEngine(noise: number): Promise<LlmEngine> {
  const options = await engineCoreOptions({
    modelDir: await demoBundleDir(),
    session: { threads: 1, device: 'cpu' },
    limits: testLimits,
  });
  const random = seededRandom(1);
  const shake = (logits: Float32Array): Float32Array => {
    const peak = logits.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0);
    return logits.map((logit) => logit + (2 * random() - 1) * noise * peak);
  };
  const executor = withExecute(options.executor, async (plan) =>
    mapComputed(await options.executor.execute(plan), ({ logits, hidden }) => ({ logits: shake(logits), hidden })),
  );
  return new LlmEngine({ ...options, executor });
}

type RequestOptions = Parameters<DemoEngine['request']>[1];

/** Whether copies of an answer by an unsteady engine are the same as that of a steady one. */
export class FirmnessCheck implements AsyncDisposable {
  private constructor(
    private readonly steady: DemoEngine,
    private readonly unsteady: DemoEngine,
  ) {}

  /** @param noise how far off the logits are, as a share of the greatest */
  static async create(noise = roundingNoise): Promise<FirmnessCheck> {
    const bundle = await readBundle(await demoBundleDir());
    const steady = await DemoEngine.create();
    const unsteady = new DemoEngine(
      await unsteadyEngine(noise),
      await loadPromptBuilder(bundle),
      bundle.manifest,
      steady.pictures,
    );
    return new FirmnessCheck(steady, unsteady);
  }

  /** @param pictures names of sample pictures, shown before the words */
  async isFirm(words: string, pictures: readonly string[], options: RequestOptions): Promise<boolean> {
    const engines = [this.steady, this.unsteady, this.unsteady, this.unsteady];
    const [expected, ...copies] = await Promise.all(engines.map((demo) => ask(demo, words, pictures, options)));
    return copies.every(({ tokenIds }) => tokenIds.join() === expected?.tokenIds.join());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.steady.close();
    await this.unsteady.close();
  }
}

function ask(demo: DemoEngine, words: string, pictures: readonly string[], options: RequestOptions): Promise<Answer> {
  const media = pictures.map(() => wholePicture);
  const request = demo.request([user(...pictures.keys(), words)], { ...options, media });
  const events = demo.engine.submit(request);
  for (const [item, name] of pictures.entries()) demo.provide(request, item, name);
  return collect(events);
}
