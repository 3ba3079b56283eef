import { type Preprocessing, preprocessingSchema, resampleFilters } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import { notBuilt, ofNoMatter, parseConfig, positive, withoutNulls } from '../../config.js';

const fileName = 'preprocessor_config.json';
const heightWidth = z.strictObject({ height: positive, width: positive });
const perChannel = z.array(z.number()).length(3);

/**
 * Hugging Face's fields, and three of Tessera's own: `background_color`, `fit` and `high_resolution`. Any other field asks
 * for something that is not built, unless it is false.
 */
const processorConfig = z
  .object({
    /** Names the processor, or says how its own calls behave. */
    image_processor_type: ofNoMatter,
    feature_extractor_type: ofNoMatter,
    processor_class: ofNoMatter,
    auto_map: ofNoMatter,
    _valid_processor_keys: ofNoMatter,
    /** Pictures have three channels here, whatever they had. */
    do_convert_rgb: z.boolean().optional(),
    data_format: z.literal('channels_first').optional(),
    do_resize: z.literal(true, 'a picture that is not resized is not supported').default(true),
    /** As a number, which older files have, it is the shorter side where a crop follows, and both sides elsewhere. */
    size: z.union(
      [positive, heightWidth, z.strictObject({ shortest_edge: positive })],
      'must be a number, height and width, or shortest_edge',
    ),
    /** Whether a number is both sides, not the shorter one. Where both are named it decides nothing. */
    default_to_square: z.boolean().optional(),
    resample: z.int().min(0).max(5).default(resampleFilters.indexOf('bilinear')),
    do_center_crop: z.boolean().default(false),
    crop_size: z.union([positive, heightWidth], 'must be a number, or height and width').optional(),
    do_rescale: z.boolean().default(true),
    rescale_factor: z
      .number()
      .positive()
      .default(1 / 255),
    do_normalize: z.boolean().default(true),
    image_mean: perChannel.optional(),
    image_std: z.array(z.number().positive()).length(3).optional(),
    background_color: z.array(z.int().min(0).max(255)).length(3).default([255, 255, 255]),
    /** Says what becomes of a picture of another shape, whatever the fields of the crop say. */
    fit: z.enum(['pad', 'crop', 'stretch']).optional(),
    high_resolution: z
      .strictObject({
        mode: z.enum(['resize', 'tile']),
        tile_size: positive,
        max_tiles: positive,
        thumbnail: z.boolean(),
      })
      .optional(),
  })
  .catchall(notBuilt)
  .superRefine((config, context) => {
    const { size, crop_size, default_to_square, do_center_crop, fit, do_normalize, image_mean, image_std } = config;
    const problem = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message });
    if (do_center_crop) {
      const [view, resized] = [crop_size === undefined ? undefined : bothSides(crop_size), bothSides(size)];
      if (view === undefined) problem('crop_size', 'is missing, and do_center_crop needs it');
      else if (view.height !== resized.height || view.width !== resized.width)
        problem('crop_size', 'differs from size; cutting a smaller part out of the resized picture is not supported');
    } else if (fit === undefined && isShorterSide({ size, default_to_square, do_center_crop })) {
      problem('size', 'is a shortest_edge without do_center_crop; inputs of many shapes are not supported');
    }
    if (!do_normalize) return;
    if (image_mean === undefined) problem('image_mean', 'is missing, and do_normalize needs it');
    if (image_std === undefined) problem('image_std', 'is missing, and do_normalize needs it');
  });

type Config = z.infer<typeof processorConfig>;

function bothSides(size: Config['size']): Preprocessing['size'] {
  if (typeof size === 'number') return { height: size, width: size };
  return 'shortest_edge' in size ? { height: size.shortest_edge, width: size.shortest_edge } : size;
}

/** A number is the shorter side where a crop follows, unless the file says otherwise. */
function isShorterSide({
  size,
  default_to_square: isSquare,
  do_center_crop: isCropped,
}: Pick<Config, 'size' | 'default_to_square' | 'do_center_crop'>): boolean {
  return typeof size === 'number' ? !(isSquare ?? !isCropped) : 'shortest_edge' in size;
}

/** A crop as large as the resized picture cuts nothing off where both sides were given. */
function fitOf({ fit, default_to_square, do_center_crop, size }: Config): Preprocessing['fit'] {
  return fit ?? (do_center_crop && isShorterSide({ size, default_to_square, do_center_crop }) ? 'crop' : 'stretch');
}

/**
 * A checkpoint's preprocessor_config.json, in the forms that Hugging Face's processors have written, every default filled
 * in.
 * @throws TesseraError CHECKPOINT_INVALID that names each field that is missing, wrong or not supported
 */
export function preprocessingFromConfig(json: unknown): Preprocessing {
  const config = parseConfig(processorConfig, withoutNulls(json), fileName);
  const size = bothSides(config.size);
  const high = config.high_resolution;
  const preprocessing = {
    background: config.background_color,
    size,
    resample: resampleFilters[config.resample],
    fit: fitOf(config),
    rescaleFactor: config.do_rescale ? config.rescale_factor : 1,
    mean: config.do_normalize ? config.image_mean : [0, 0, 0],
    std: config.do_normalize ? config.image_std : [1, 1, 1],
    highResolution: {
      mode: high?.mode ?? 'resize',
      tileSize: high?.tile_size ?? size.height,
      maxTiles: high?.max_tiles ?? 1,
      thumbnail: high?.thumbnail ?? false,
    },
  };
  return parseConfig(preprocessingSchema, preprocessing, fileName);
}

/**
 * The same for an encoder that takes pictures of one size.
 * @throws TesseraError CHECKPOINT_INVALID also where the file is missing or gives another size
 */
export function fixedSizePreprocessing(json: unknown, inputSize: Preprocessing['size']): Preprocessing {
  if (json === undefined) {
    throw new TesseraError('CHECKPOINT_INVALID', `${fileName} is missing; the encoder needs it`);
  }
  const preprocessing = preprocessingFromConfig(json);
  const { height, width } = preprocessing.size;
  if (height !== inputSize.height || width !== inputSize.width) {
    const message = `${fileName}.size: gives ${height}x${width}; the encoder takes ${inputSize.height}x${inputSize.width}`;
    throw new TesseraError('CHECKPOINT_INVALID', message);
  }
  return preprocessing;
}
