import type { ArchitectureValues } from './architecture-values.js';

/** What all published models with angles of this kind have. */
const llama3 = { rope_type: 'llama3', low_freq_factor: 1, high_freq_factor: 4 } as const;
/** Contexts that a model may have been trained on first. */
const contexts = Array.from({ length: 20 }, (_, i) => 16 * 2 ** i);
/** A file has the divisors in float32, and computed in it. */
const tolerance = 1e-4;

/**
 * The rope_scaling of a config.json; undefined where nothing is stretched.
 * @param divisors the tensor rope_freqs.weight: what each frequency is divided by
 */
export function ropeScaling(
  values: ArchitectureValues,
  divisors: Float32Array | undefined,
  headDim: number,
  theta: number,
): Record<string, unknown> | undefined {
  const factor = values.number('rope.scaling.factor') ?? values.number('rope.scale_linear') ?? 1;
  const original = values.number('rope.scaling.original_context_length');
  const betas = {
    beta_fast: values.number('rope.scaling.yarn_beta_fast'),
    beta_slow: values.number('rope.scaling.yarn_beta_slow'),
  };
  const type = values.text('rope.scaling.type') ?? 'linear';
  const stretches = type !== 'none' && factor !== 1;
  if (divisors !== undefined) {
    if (stretches)
      throw values.problem('rope.scaling.type', `is ${type}, which is not supported beside rope_freqs.weight`);
    return fromDivisors(values, divisors, headDim, theta);
  }
  if (type !== 'none' && type !== 'linear' && type !== 'yarn') {
    throw values.problem('rope.scaling.type', `is ${type}, which is not supported; known are none, linear and yarn`);
  }
  if (!stretches) return undefined;
  if (type === 'linear') return { rope_type: 'linear', factor };
  return { rope_type: 'yarn', factor, original_max_position_embeddings: original, ...betas };
}

/**
 * Files of LLaMA 3.1 and later have the divisors that its rule gives, not what goes into the rule: it is found by trying, and
 * what is found gives all of them again.
 */
function fromDivisors(
  values: ArchitectureValues,
  divisors: Float32Array,
  headDim: number,
  theta: number,
): Record<string, unknown> | undefined {
  const half = headDim / 2;
  if (divisors.length !== half) throw values.problem('rope_freqs.weight', `has ${divisors.length} values, not ${half}`);
  const factor = Math.max(...divisors);
  if (divisors.every((divisor) => divisor === 1)) return undefined;
  const original = contexts.find((context) =>
    divisors.every((divisor, i) => {
      const expected = divisorOf(theta ** (-i / half), factor, context);
      return Math.abs(divisor - expected) <= tolerance * expected;
    }),
  );
  if (original !== undefined) return { ...llama3, factor, original_max_position_embeddings: original };
  throw values.problem('rope_freqs.weight', 'has not the frequencies of LLaMA 3.1; others are not supported');
}

/** Long waves are divided by the factor, short ones are not, those between in part. */
function divisorOf(frequency: number, factor: number, context: number): number {
  const { low_freq_factor: low, high_freq_factor: high } = llama3;
  const turns = (context * frequency) / (2 * Math.PI);
  const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
  return 1 / ((1 - smooth) / factor + smooth);
}
