import { resolve } from 'node:path';
import { type StageName, stageNames } from '@tessera/bundle';
import { elementCount } from '@tessera/protocol';
import type { PublishedModel } from './checkpoint/published-model.js';
import { declaredParameters } from './count-parameters.js';
import type { ModelPlan } from './models/model-plan.js';
import { planModel } from './models/plan-model.js';
import { openModel } from './open-model.js';
import { isInteger, unusedTensors } from './unused-tensors.js';

export interface StageInspection {
  readonly stage: StageName;
  readonly parameters: number;
  /** Of all parameters, 0 to 1. */
  readonly share: number;
}

/** Where the weights are not what config.json says: a shape is absent on the side that lacks the tensor. */
export interface ParameterDifference {
  readonly name: string;
  readonly declared?: readonly number[];
  readonly found?: readonly number[];
}

export interface CheckpointInspection {
  readonly modelType: string;
  /** Whether the counts are of tensors that are there, or of what config.json alone implies. */
  readonly countedFrom: 'weights' | 'config';
  /** Whether this version can compile the model too. */
  readonly compilable: boolean;
  readonly parameters: number;
  /** In the order of a request's way; stages that the model lacks are left out. */
  readonly stages: readonly StageInspection[];
  /** Empty where there are no weights to compare. */
  readonly differences: readonly ParameterDifference[];
}

/**
 * Counts a model's parameters stage by stage without reading its weights: from the headers of its files, or, where
 * there are none, from config.json alone.
 * @throws TesseraError CHECKPOINT_INVALID naming the file at fault
 */
export async function inspectCheckpoint(path: string): Promise<CheckpointInspection> {
  const model = await openModel(resolve(path));
  try {
    return await inspect(model);
  } finally {
    await model.close();
  }
}

async function inspect(model: PublishedModel): Promise<CheckpointInspection> {
  const plan = planModel(await model.json('config.json'));
  const found = tensorShapes(model);
  const declared = stageNames.map((stage) => ({ stage, shapes: declaredParameters(plan, stage) }));
  const counts = declared
    .filter(({ shapes }) => shapes.size > 0)
    .map(({ stage, shapes }) => ({ stage, parameters: countElements(shapes, found) }));
  const parameters = counts.reduce((sum, stage) => sum + stage.parameters, 0);
  return {
    modelType: plan.modelType,
    countedFrom: found ? 'weights' : 'config',
    compilable: plan.stages !== undefined,
    parameters,
    stages: counts.map((stage) => ({ ...stage, share: parameters === 0 ? 0 : stage.parameters / parameters })),
    differences: found ? compare(new Map(declared.flatMap(({ shapes }) => [...shapes])), found, model, plan) : [],
  };
}

type Shapes = ReadonlyMap<string, readonly number[]>;

function tensorShapes(model: PublishedModel): Shapes | undefined {
  if (!model.hasWeights) return undefined;
  return new Map([...model.tensors()].filter((tensor) => !isInteger(tensor)).map(({ name, shape }) => [name, shape]));
}

function countElements(declared: Shapes, found: Shapes | undefined): number {
  let sum = 0;
  for (const [name, shape] of declared) sum += elementCount(found ? (found.get(name) ?? [0]) : shape);
  return sum;
}

function compare(declared: Shapes, found: Shapes, model: PublishedModel, plan: ModelPlan): ParameterDifference[] {
  const wrong = [...declared].map(([name, shape]) => ({ name, declared: shape, found: found.get(name) }));
  const unused = unusedTensors(model, plan).map(({ name, shape }) => ({ name, declared: undefined, found: shape }));
  return [...wrong.filter((one) => one.declared.join() !== one.found?.join()), ...unused].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
}
