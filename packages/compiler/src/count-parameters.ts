import { type StageName, stageNames } from '@tessera/bundle';
import { elementCount } from '@tessera/protocol';
import { DeclaredParameters } from './checkpoint/parameters.js';
import type { ModelPlan } from './models/model-plan.js';

/** The names and shapes of a stage's parameters; empty where the model has no such stage. */
export function declaredParameters(plan: ModelPlan, stage: StageName): ReadonlyMap<string, readonly number[]> {
  const source = new DeclaredParameters();
  plan.declare[stage]?.(source);
  return source.declared;
}

/** Parameters of each stage as the checkpoint publishes them. */
export function countParameters(plan: ModelPlan): Record<StageName, number> {
  const count = (stage: StageName): number =>
    [...declaredParameters(plan, stage).values()].reduce((sum, shape) => sum + elementCount(shape), 0);
  return Object.fromEntries(stageNames.map((stage) => [stage, count(stage)])) as Record<StageName, number>;
}
