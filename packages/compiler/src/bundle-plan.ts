import type { BundleManifest, StageName } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { type BundleGraph, buildGraphs, bytesOnDisk } from './bundle-graphs.js';
import type { CheckpointTokenizer } from './checkpoint/checkpoint-tokenizer.js';
import type { PublishedModel } from './checkpoint/published-model.js';
import type { Cut } from './cut.js';
import { requireFreeSpace } from './free-space.js';
import type { WeightPrecision } from './graph/index.js';
import { manifestSections } from './manifest-sections.js';
import type { ModelPlan, StagePieces } from './models/model-plan.js';
import { planModel } from './models/plan-model.js';
import { openModel } from './open-model.js';
import { requireUsed } from './unused-tensors.js';

interface BundleForm {
  readonly weights: WeightPrecision;
  readonly cut?: Cut | undefined;
}

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
export async function planBundle(model: PublishedModel, { weights, cut }: BundleForm): Promise<BundlePlan> {
  const plan = planModel(await model.json('config.json'));
  const { stages } = plan;
  if (stages === undefined) {
    throw new TesseraError('UNSUPPORTED', `models of type ${plan.modelType} can be inspected, not compiled yet`);
  }
  requireUsed(model, plan);
  const tokenizer = await model.tokenizer();
  const configs = {
    tokenizer,
    preprocessor: await model.json('preprocessor_config.json'),
    generation: await model.json('generation_config.json'),
  };
  const sections = manifestSections(plan, stages, configs, { weights, cut });
  return { plan, stages, tokenizer, sections, graphs: buildGraphs(model, stages, sections.llm, weights) };
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
