import type { Preprocessing } from '@tessera/bundle';
import type { PlannedTile } from '../plan-tiles.js';

/** One direction of a view: the same for columns and rows. All in pixels. */
export interface AxisPlacement {
  /** The picture's own length, and where it lies on the canvas; the rest of the canvas is background. */
  readonly picture: number;
  readonly offset: number;
  readonly canvas: number;
  /** What the whole canvas is resized to, and the window of that which the view shows. */
  readonly target: number;
  readonly windowStart: number;
  readonly windowLength: number;
}

export interface ViewPlacement {
  readonly horizontal: AxisPlacement;
  readonly vertical: AxisPlacement;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The smallest canvas of the target's shape that holds the picture. */
function paddedCanvas(picture: Size, target: Size): Size {
  return picture.width * target.height > picture.height * target.width
    ? { width: picture.width, height: Math.round((picture.width * target.height) / target.width) }
    : { width: Math.round((picture.height * target.width) / target.height), height: picture.height };
}

/** The smallest size of the picture's shape that covers the target; rounded down, as Hugging Face's processors do. */
function coveringSize(picture: Size, target: Size): Size {
  return picture.width * target.height > picture.height * target.width
    ? { width: Math.floor((target.height * picture.width) / picture.height), height: target.height }
    : { width: target.width, height: Math.floor((target.width * picture.height) / picture.width) };
}

/**
 * Where a tile's pixels come from. The fit is between the picture and the grid as a whole: 'stretch' cuts as InternVL
 * does, 'pad' as LLaVA-NeXT. Odd remainders go to the right and the bottom, as in both.
 */
export function placeView(picture: Size, tile: PlannedTile, preprocessing: Preprocessing): ViewPlacement {
  const { size, fit } = preprocessing;
  const grid = { width: size.width * tile.columns, height: size.height * tile.rows };
  const canvas = fit === 'pad' ? paddedCanvas(picture, grid) : picture;
  const target = fit === 'crop' ? coveringSize(picture, grid) : grid;
  return {
    horizontal: {
      picture: picture.width,
      offset: Math.floor((canvas.width - picture.width) / 2),
      canvas: canvas.width,
      target: target.width,
      windowStart: Math.floor((target.width - grid.width) / 2) + tile.column * size.width,
      windowLength: size.width,
    },
    vertical: {
      picture: picture.height,
      offset: Math.floor((canvas.height - picture.height) / 2),
      canvas: canvas.height,
      target: target.height,
      windowStart: Math.floor((target.height - grid.height) / 2) + tile.row * size.height,
      windowLength: size.height,
    },
  };
}
