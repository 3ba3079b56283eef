import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import { type Preprocessing, preprocessingSchema, resampleFilters } from './preprocessing.js';

const side = z.number().int().positive();
const heightWidth = z.object({ height: side, width: side });
/** Hugging Face writes sizes as a number, as both sides, or as the shorter side that a crop follows. */
const anySize = z.union([side, heightWidth, z.object({ shortest_edge: side })]);
const perChannel = z.array(z.number()).length(3);

/** The fields of preprocessor_config.json that decide pixels. Others belong to the processor and are left alone. */
const processorConfig = z.object({
  size: anySize,
  crop_size: anySize.optional(),
  resample: z.number().int().min(0).max(5).default(2),
  do_resize: z.literal(true).default(true),
  do_center_crop: z.boolean().default(false),
  do_rescale: z.boolean().default(true),
  rescale_factor: z.number().default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: perChannel.optional(),
  image_std: perChannel.optional(),
  background_color: z.array(z.number()).length(3).default([255, 255, 255]),
  fit: z.enum(['pad', 'crop', 'stretch']).optional(),
  high_resolution: z
    .object({
      mode: z.enum(['resize', 'tile']).default('resize'),
      tile_size: side.optional(),
      max_tiles: side.default(1),
      thumbnail: z.boolean().default(true),
    })
    .prefault({}),
});

function bothSides(size: z.infer<typeof anySize>): { height: number; width: number } {
  if (typeof size === 'number') return { height: size, width: size };
  return 'shortest_edge' in size
    ? { height: size.shortest_edge, width: size.shortest_edge }
    : { height: size.height, width: size.width };
}

function invalid(error: z.ZodError): TesseraError {
  const problems = error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`);
  return new TesseraError('CHECKPOINT_INVALID', `preprocessor_config.json: ${problems.join('; ')}`, { cause: error });
}

/**
 * Reads the contents of a Hugging Face preprocessor_config.json. A centre crop, asked for or implied by a
 * `shortest_edge`, is fit 'crop'; `fit`, `background_color` and `high_resolution` are Tessera's own fields.
 * @throws TesseraError CHECKPOINT_INVALID that names each field that is missing, wrong or not supported
 */
export function preprocessingFromConfig(json: unknown): Preprocessing {
  const parsed = processorConfig.safeParse(json);
  if (!parsed.success) throw invalid(parsed.error);
  const config = parsed.data;
  const crops = config.do_center_crop || (typeof config.size === 'object' && 'shortest_edge' in config.size);
  const size = bothSides((config.do_center_crop ? config.crop_size : undefined) ?? config.size);
  const { mode, tile_size, max_tiles, thumbnail } = config.high_resolution;
  if (config.do_normalize && (config.image_mean === undefined || config.image_std === undefined)) {
    throw new TesseraError(
      'CHECKPOINT_INVALID',
      'preprocessor_config.json: do_normalize needs image_mean and image_std',
    );
  }
  const checked = preprocessingSchema.safeParse({
    background: config.background_color,
    size,
    resample: resampleFilters[config.resample],
    fit: config.fit ?? (crops ? 'crop' : 'stretch'),
    rescaleFactor: config.do_rescale ? config.rescale_factor : 1,
    mean: config.do_normalize ? config.image_mean : [0, 0, 0],
    std: config.do_normalize ? config.image_std : [1, 1, 1],
    highResolution: { mode, tileSize: tile_size ?? size.height, maxTiles: max_tiles, thumbnail },
  });
  if (!checked.success) throw invalid(checked.error);
  return checked.data;
}
