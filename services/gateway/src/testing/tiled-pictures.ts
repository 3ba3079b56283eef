import { preprocessingSchema } from '@tessera/bundle';
import type { MediaModel } from '../intake/media-plan.js';

/** Pictures in tiles of 32 by 32, at most four and one of the whole. */
export function tiledPictures(tokensPerTile: number): MediaModel {
  return {
    preprocessing: preprocessingSchema.parse({
      background: [0, 0, 0],
      size: { height: 32, width: 32 },
      resample: 'bicubic',
      fit: 'stretch',
      rescaleFactor: 1 / 255,
      mean: [0, 0, 0],
      std: [1, 1, 1],
      highResolution: { mode: 'tile', tileSize: 32, maxTiles: 4, thumbnail: true },
    }),
    tokensPerTile,
  };
}
