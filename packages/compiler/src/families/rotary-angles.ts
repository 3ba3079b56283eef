import type { z } from 'zod';
import type { RotaryAngles } from '../layers/index.js';
import { type RopeScaling, type ropeFields, ropeOf } from './rope-fields.js';

type Config = z.infer<z.ZodObject<typeof ropeFields>> & { readonly max_position_embeddings: number };
type Yarn = Extract<RopeScaling, { rope_type: 'yarn' }>;
type Llama3 = Extract<RopeScaling, { rope_type: 'llama3' }>;

/**
 * How many positions a config has angles for. `dynamic` changes its base with the sequence's length, from max_position_embeddings on: a key in the cache would be one of
 * another base than the query that meets it. It is served up to there, where it is plain. YaRN reaches as far as its
 * factor says; the others as far as max_position_embeddings says, which already counts their factor.
 */
export function positionsOf(config: Config): number {
  const { scaling } = ropeOf(config);
  const positions = config.max_position_embeddings;
  if (scaling.rope_type !== 'yarn') return positions;
  return Math.max(positions, Math.floor((scaling.original_max_position_embeddings ?? positions) * scaling.factor));
}

/** The angles of a config, as transformers' modeling_rope_utils.py computes them. */
export function rotaryAngles(config: Config, headDim: number): RotaryAngles {
  const { theta, scaling } = ropeOf(config);
  const half = headDim / 2;
  const plain = Array.from({ length: half }, (_, i) => theta ** (-i / half));
  const positions = positionsOf(config);
  switch (scaling.rope_type) {
    case 'default':
    case 'dynamic':
      return { positions, frequencies: plain, scale: 1 };
    case 'linear':
      return { positions, frequencies: plain.map((frequency) => frequency / scaling.factor), scale: 1 };
    case 'llama3':
      return { positions, frequencies: plain.map((frequency) => llama3Frequency(frequency, scaling)), scale: 1 };
    case 'yarn': {
      const original = scaling.original_max_position_embeddings ?? config.max_position_embeddings;
      return {
        positions,
        frequencies: yarnFrequencies(plain, theta, original, scaling),
        scale: yarnScale(scaling),
      };
    }
  }
}

/** Long waves are stretched, short ones are not, those between in part. */
function llama3Frequency(frequency: number, scaling: Llama3): number {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: context } = scaling;
  const turns = (context * frequency) / (2 * Math.PI);
  if (turns < low) return frequency / factor;
  if (turns > high) return frequency;
  const smooth = (turns - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** Peng et al. 2023: pairs that turn often within the original context keep their frequency, slow ones are stretched. */
function yarnFrequencies(plain: readonly number[], theta: number, original: number, scaling: Yarn): number[] {
  const headDim = 2 * plain.length;
  const pairThatTurns = (times: number): number =>
    (headDim * Math.log(original / (times * 2 * Math.PI))) / (2 * Math.log(theta));
  const truncate = scaling.truncate ?? true;
  const [first, last] = [pairThatTurns(scaling.beta_fast ?? 32), pairThatTurns(scaling.beta_slow ?? 1)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const high = Math.min(truncate ? Math.ceil(last) : last, headDim - 1);
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / (high === low ? 0.001 : high - low)));
    return (frequency / scaling.factor) * stretched + frequency * (1 - stretched);
  });
}

function yarnScale({ factor, attention_factor, mscale, mscale_all_dim }: Yarn): number {
  const scaleOf = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  if (attention_factor != null) return attention_factor;
  return mscale && mscale_all_dim ? scaleOf(mscale) / scaleOf(mscale_all_dim) : scaleOf(1);
}
