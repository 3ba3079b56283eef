import type { TileMarker } from '@tessera/media';
import { TileRole } from '@tessera/protocol';

/** How a tile stands in its item, on the wire. */
export const roleOf: Readonly<Record<TileMarker, TileRole>> = {
  none: TileRole.WHOLE,
  thumbnail: TileRole.THUMBNAIL,
  tile: TileRole.PART,
};
