import type { BundleManifest, StageName } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import type { BundleForm } from './bundle-form.js';
import { type BundleGraph, buildGraphs, bytesOnDisk } from './bundle-graphs.js';
import type { CheckpointTokenizer } from './checkpoint/checkpoint-tokenizer.js';
import type { PublishedModel } from './checkpoint/published-model.js';
import { requireFreeSpace } from './free-space.js';
import { manifestSections } from './manifest-sections.js';
import { type ModelPlan, type StagePieces, withKvCache } from './models/model-plan.js';
import { planModel } from './models/plan-model.js';
import { openModel } from './open-model.js';
import { requireUsed } from './unused-tensors.js';

/** What a bundle will be, known from headers and small files alone. */
interface BundlePlan {
  readonly plan: ModelPlan;
  readonly stages: StagePieces;
  readonly tokenizer: CheckpointTokenizer;
  readonly sections: Pick<BundleManifest, StageName | 'preprocessing' | 'generation'>;
  /** Their weights are read when they are written. */
  readonly graphs: readonly BundleGraph[];
}

/** @throws TesseraError CHECKPOINT_INVALID naming the file at fault; UNSUPPORTED for a model that can only be inspected, or not be cut so */
export async function planBundle(model: PublishedModel, form: BundleForm): Promise<BundlePlan> {
  const plan = planModel(await model.json('config.json'));
  if (plan.stages === undefined) {
    throw new TesseraError('UNSUPPORTED', `models of type ${plan.modelType} can be inspected, not compiled yet`);
  }
  requireUsed(model, plan);
  const stages = withKvCache(plan.stages, form.kvCache);
  const tokenizer = await model.tokenizer();
  const configs = {
    tokenizer,
    preprocessor: await model.json('preprocessor_config.json'),
    generation: await model.json('generation_config.json'),
  };
  const sections = manifestSections(plan, stages, configs, form);
  return { plan, stages, tokenizer, sections, graphs: buildGraphs(model, stages, sections.llm, form.weights) };
}

/**
 * Whether a checkpoint would be compiled, as far as headers and small files say.
 * @param dir an existing folder on the disk that must have room for it; undefined where it may be there already
 * @throws TesseraError as planBundle; STORAGE_FULL
 */
export async function requireCompilable(path: string, form: BundleForm, dir: string | undefined): Promise<void> {
  const model = await openModel(path);
  try {
    const { graphs } = await planBundle(model, form);
    if (dir !== undefined) await requireFreeSpace(dir, bytesOnDisk(graphs));
  } finally {
    await model.close();
  }
}
