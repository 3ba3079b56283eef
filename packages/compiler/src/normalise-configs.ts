import type { GenerationSection, PreprocessingSection } from '@tessera/bundle';
import { z } from 'zod';
import { parseConfig, positive } from './config.js';
import { tokenId, tokenIds } from './models/token-ids.js';

/** Pillow's numbers for its filters, which published configs use. */
const filters = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'] as const;
const bilinear = 2;
const three = z.array(z.number()).length(3);

const preprocessorConfig = z.object({
  background_color: z.array(z.number().int().min(0).max(255)).length(3).default([255, 255, 255]),
  do_resize: z.literal(true).default(true),
  size: z.object({ height: positive, width: positive }),
  resample: z.number().int().min(0).max(5).default(bilinear),
  fit: z.enum(['pad', 'crop', 'stretch']).default('stretch'),
  do_rescale: z.boolean().default(true),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: three.default([0, 0, 0]),
  image_std: three.default([1, 1, 1]),
  high_resolution: z
    .object({
      mode: z.enum(['resize', 'tile']),
      tile_size: positive,
      max_tiles: positive,
      thumbnail: z.boolean(),
    })
    .optional(),
});

/** preprocessor_config.json in the manifest's words, every default filled in. */
export function normalisePreprocessing(config: unknown): PreprocessingSection {
  const options = parseConfig(preprocessorConfig, config, 'preprocessor_config.json');
  const high = options.high_resolution;
  return {
    background: options.background_color,
    size: options.size,
    resample: filters[options.resample] as (typeof filters)[number],
    fit: options.fit,
    rescaleFactor: options.do_rescale ? options.rescale_factor : 1,
    mean: options.do_normalize ? options.image_mean : [0, 0, 0],
    std: options.do_normalize ? options.image_std : [1, 1, 1],
    highResolution: {
      mode: high?.mode ?? 'resize',
      tileSize: high?.tile_size ?? options.size.height,
      maxTiles: high?.max_tiles ?? 1,
      thumbnail: high?.thumbnail ?? false,
    },
  };
}

const generationConfig = z.object({
  eos_token_id: tokenIds.optional(),
  pad_token_id: tokenId.nullish(),
  do_sample: z.boolean().default(false),
  temperature: z.number().nonnegative().default(1),
  top_p: z.number().min(0).max(1).default(1),
  top_k: z.number().int().nonnegative().default(0),
  repetition_penalty: z.number().positive().default(1),
  max_new_tokens: positive.default(256),
});

/** generation_config.json in the manifest's words; absent, everything is at its default. */
export function normaliseGeneration(config: unknown): {
  generation: GenerationSection;
  eosTokenIds: readonly number[];
} {
  const options = parseConfig(generationConfig, config ?? {}, 'generation_config.json');
  return {
    generation: {
      maxNewTokens: options.max_new_tokens,
      doSample: options.do_sample,
      temperature: options.temperature,
      topP: options.top_p,
      topK: options.top_k,
      repetitionPenalty: options.repetition_penalty,
      ...(options.pad_token_id != null && { padTokenId: options.pad_token_id }),
    },
    eosTokenIds: options.eos_token_id ?? [],
  };
}
