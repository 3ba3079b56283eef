import { z } from 'zod';
import { notBuilt, ofNoMatter, positive } from '../config.js';

const number = z.number();
const factor = number.min(1);

/** How the angles of rotary position embedding are stretched, as transformers' modeling_rope_utils.py knows it. */
const kinds = [
  z.object({ rope_type: z.literal('default') }),
  z.object({ rope_type: z.literal('linear'), factor }),
  z.object({ rope_type: z.literal('dynamic'), factor }),
  z.object({
    rope_type: z.literal('llama3'),
    factor,
    low_freq_factor: number.positive(),
    high_freq_factor: number.positive(),
    original_max_position_embeddings: positive,
  }),
  z.object({
    rope_type: z.literal('yarn'),
    factor,
    /** By default the model's max_position_embeddings. */
    original_max_position_embeddings: positive.nullish(),
    attention_factor: number.positive().nullish(),
    beta_fast: number.positive().nullish(),
    beta_slow: number.positive().nullish(),
    mscale: number.nonnegative().nullish(),
    mscale_all_dim: number.nonnegative().nullish(),
    truncate: z.boolean().nullish(),
    /** Of training. */
    finetuned: ofNoMatter,
  }),
] as const;

const known = kinds.map(({ shape }) => shape.rope_type.value).join(', ');

/** `type` is the older name of rope_type; without either nothing is stretched. */
function withRopeType(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { type, ...rest } = value as Record<string, unknown>;
  if (type === undefined || type === null) return { rope_type: 'default', ...rest };
  if ('rope_type' in rest && rest.rope_type !== type) return value;
  return { ...rest, rope_type: type };
}

function kindsWith<Extra extends z.ZodRawShape>(extra: Extra) {
  const [first, linear, dynamic, llama3, yarn] = kinds;
  const all = {
    ...extra,
    partial_rotary_factor: z.literal(1, 'must be 1: embeddings of a part of a head are not supported').nullish(),
  };
  return z.preprocess(
    withRopeType,
    z.discriminatedUnion(
      'rope_type',
      [
        first.extend(all).catchall(notBuilt),
        linear.extend(all).catchall(notBuilt),
        dynamic.extend(all).catchall(notBuilt),
        llama3.extend(all).catchall(notBuilt),
        yarn.extend(all).catchall(notBuilt),
      ],
      { error: `is not supported; known are ${known}` },
    ),
  );
}

const theta = number.positive();

/**
 * How configs of LLaMA's kind describe rotary position embedding: rope_theta and rope_scaling, or rope_parameters, which
 * transformers writes in place of both from version 5 on. A schema that has these fields ends with
 * `.superRefine(oneRope)`, and its family reads `ropeOf`.
 */
export const ropeFields = {
  rope_theta: theta.nullish(),
  rope_scaling: kindsWith({}).nullish(),
  rope_parameters: kindsWith({ rope_theta: theta.nullish() }).nullish(),
};

type RopeConfig = z.infer<z.ZodObject<typeof ropeFields>>;

/** Refuses a config that says two things of the angles. */
export function oneRope({ rope_theta, rope_scaling, rope_parameters }: RopeConfig, context: z.RefinementCtx): void {
  const problem = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
  const inParameters = rope_parameters?.rope_theta;
  if (rope_theta != null && inParameters != null && rope_theta !== inParameters) {
    problem('rope_theta', `is ${rope_theta}, but rope_parameters.rope_theta is ${inParameters}`);
  }
  if (rope_scaling != null && rope_parameters != null) problem('rope_scaling', 'is given, and rope_parameters, too');
}

export type RopeScaling = z.infer<(typeof kinds)[number]>;

/** The base of the angles, and how they are stretched. */
export function ropeOf({ rope_theta, rope_scaling, rope_parameters }: RopeConfig): {
  readonly theta: number;
  readonly scaling: RopeScaling;
} {
  return {
    theta: rope_parameters?.rope_theta ?? rope_theta ?? 10_000,
    scaling: rope_parameters ?? rope_scaling ?? { rope_type: 'default' },
  };
}
