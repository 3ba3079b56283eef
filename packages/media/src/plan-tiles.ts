import type { Preprocessing } from '@tessera/bundle';

/** Which marker token stands before a tile's visual tokens. */
export type TileMarker = 'none' | 'thumbnail' | 'tile';

/** One view of a picture. */
export interface PlannedTile {
  /** The place in the plan, from 0: the order of the visual tokens. */
  readonly index: number;
  readonly marker: TileMarker;
  /** The grid that this tile is cut from, and where; a view of the whole is the one cell of a 1x1 grid. */
  readonly columns: number;
  readonly rows: number;
  readonly column: number;
  readonly row: number;
}

/** All views of a picture, in the order of their visual tokens. */
export interface TilePlan {
  /** The grid of the parts; 1x1 for a single view. */
  readonly columns: number;
  readonly rows: number;
  readonly tiles: readonly PlannedTile[];
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * InternVL's choice: of all grids of at most `maxTiles` cells, the one whose aspect ratio is nearest to the picture's.
 * Grids are tried by their number of cells, then by their columns. Of grids equally near, a later one is taken only if
 * the picture has more than half of the pixels that the grid has. (InternVL's own order within a number of cells is that
 * of a Python set; this is the order that transformers fixed it to.)
 */
function chooseGrid(size: Size, tileSize: number, maxTiles: number): { columns: number; rows: number } {
  const aspect = size.width / size.height;
  const pixels = size.width * size.height;
  let best = { columns: 1, rows: 1 };
  let bestDifference = Math.abs(aspect - 1);
  for (let cells = 2; cells <= maxTiles; cells++) {
    for (let columns = 1; columns <= cells; columns++) {
      if (cells % columns !== 0) continue;
      const rows = cells / columns;
      const difference = Math.abs(aspect - columns / rows);
      const isBigEnough = pixels > 0.5 * tileSize * tileSize * cells;
      if (difference < bestDifference || (difference === bestDifference && isBigEnough)) {
        best = { columns, rows };
        bestDifference = difference;
      }
    }
  }
  return best;
}

/**
 * The tiles that a media item of this size becomes: from the size and the configuration alone, so that the prompt can
 * reserve their positions before a pixel is decoded.
 * In mode 'tile' the thumbnail comes first, then the parts row by row; a 1x1 grid is a single view without a marker.
 */
export function planTiles(size: Size, preprocessing: Preprocessing): TilePlan {
  const { mode, tileSize, maxTiles, thumbnail } = preprocessing.highResolution;
  const grid = mode === 'tile' ? chooseGrid(size, tileSize, maxTiles) : { columns: 1, rows: 1 };
  const { columns, rows } = grid;
  const whole = { columns: 1, rows: 1, column: 0, row: 0 };
  if (columns * rows === 1) return { columns, rows, tiles: [{ index: 0, marker: 'none', ...whole }] };

  const tiles: PlannedTile[] = [];
  if (thumbnail) tiles.push({ index: 0, marker: 'thumbnail', ...whole });
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      tiles.push({ index: tiles.length, marker: 'tile', columns, rows, column, row });
    }
  }
  return { columns, rows, tiles };
}
