import { z } from 'zod';

const perChannel = z.array(z.number()).length(3);
const side = z.number().int().min(1).max(8192);

/** The filters of Pillow, in the order in which its numbers name them (0 to 5). */
export const resampleFilters = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'] as const;
export type ResampleFilter = (typeof resampleFilters)[number];

/** How a decoded picture becomes pixel_values: the manifest says it, packages/media does it. */
export const preprocessingSchema = z
  .strictObject({
    /** Transparency is laid on this colour and padding filled with it: R, G, B of 0 to 255. */
    background: z.array(z.number().int().min(0).max(255)).length(3),
    /** One view, in pixels. */
    size: z.strictObject({ height: side, width: side }),
    resample: z.enum(resampleFilters),
    /** How a picture of another shape becomes a view: pad with the background, crop to the centre, or stretch. */
    fit: z.enum(['pad', 'crop', 'stretch']),
    /** pixel_values are (value * rescaleFactor - mean) / std for each of R, G, B. */
    rescaleFactor: z.number().positive(),
    mean: perChannel,
    std: z.array(z.number().positive()).length(3),
    highResolution: z.strictObject({
      /** resize: one view of `size`. tile: parts of tileSize, row by row, and the whole before them where `thumbnail` says so. */
      mode: z.enum(['resize', 'tile']),
      tileSize: side,
      maxTiles: z.number().int().min(1).max(256),
      thumbnail: z.boolean(),
    }),
  })
  .superRefine(({ size, highResolution: { mode, tileSize } }, context) => {
    // One graph takes the thumbnail and the parts, so they have one shape.
    if (mode === 'tile' && (size.height !== tileSize || size.width !== tileSize)) {
      context.addIssue({
        code: 'custom',
        path: ['highResolution', 'tileSize'],
        message: 'must equal size in tile mode',
      });
    }
  });

export type Preprocessing = z.infer<typeof preprocessingSchema>;
