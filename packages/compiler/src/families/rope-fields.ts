import { z } from 'zod';
import { notBuilt } from '../config.js';

const theta = z.number().positive();
const plain = z.literal('default', 'scaled rotary embeddings are not supported');

/** What transformers writes from version 5 on, in place of rope_theta and rope_scaling. */
const ropeParameters = z
  .object({
    rope_type: plain.optional(),
    /** The older name of rope_type. */
    type: plain.optional(),
    rope_theta: theta,
    partial_rotary_factor: z.literal(1, 'must be 1: embeddings of a part of a head are not supported').optional(),
  })
  .catchall(notBuilt);

/**
 * How configs of LLaMA's kind describe rotary position embedding, in either form. A schema that has these fields ends with
 * `.superRefine(oneRopeTheta)`, and its family reads `ropeTheta`.
 */
export const ropeFields = {
  rope_theta: theta.nullish(),
  rope_scaling: z.null('scaled rotary embeddings are not supported').optional(),
  rope_parameters: ropeParameters.nullish(),
};

type RopeConfig = z.infer<z.ZodObject<typeof ropeFields>>;

/** Refuses a config that says no base of the angles, or two. */
export function oneRopeTheta({ rope_theta, rope_parameters }: RopeConfig, context: z.RefinementCtx): void {
  const inParameters = rope_parameters?.rope_theta;
  const given = rope_theta ?? inParameters;
  const problem = (message: string) => context.addIssue({ code: 'custom', path: ['rope_theta'], message });
  if (given === undefined) problem('is missing, and rope_parameters, too');
  else if (inParameters !== undefined && given !== inParameters) {
    problem(`is ${given}, but rope_parameters.rope_theta is ${inParameters}`);
  }
}

/** The base of the angles. */
export function ropeTheta({ rope_theta, rope_parameters }: RopeConfig): number {
  return (rope_parameters?.rope_theta ?? rope_theta) as number;
}
