import { type MediaLimits, type Preprocessing, planTiles, probeMedia } from '@tessera/media';
import { MediaKind, quoted, TesseraError, TileRole, type TileSpan } from '@tessera/protocol';
import type { EncodeItem } from '../dispatch/encode-dispatch.js';
import type { ReceivedMedia } from './media-intake.js';

/** A media item with the positions that its tiles will fill. */
export interface PlannedItem extends EncodeItem {
  readonly spans: readonly TileSpan[];
}

export interface MediaModel {
  readonly preprocessing: Preprocessing;
  readonly tokensPerTile: number;
}

const roles = { none: TileRole.WHOLE, thumbnail: TileRole.THUMBNAIL, tile: TileRole.PART } as const;

/**
 * Reads the headers of a request's media and reserves their spans; nothing is decoded here.
 * @returns the items, and for each media_id the number of its item: names with equal bytes share one item
 */
export async function planMedia(
  received: ReadonlyMap<string, ReceivedMedia>,
  model: MediaModel | undefined,
  limits: Pick<MediaLimits, 'maxBytes' | 'maxPixels'>,
): Promise<{ items: PlannedItem[]; itemOf: Map<string, number> }> {
  const items: PlannedItem[] = [];
  const itemOf = new Map<string, number>();
  const byDigest = new Map<string, number>();
  for (const [mediaId, { bytes, digest }] of received) {
    if (model === undefined) throw new TesseraError('UNSUPPORTED', 'this model takes text only', { field: 'messages' });
    const known = byDigest.get(digest);
    if (known !== undefined) {
      itemOf.set(mediaId, known);
      continue;
    }
    const info = await named(mediaId, () => probeMedia(bytes, limits));
    const plan = planTiles({ width: info.width, height: info.height }, model.preprocessing);
    const spans = plan.tiles.map((tile) => ({ role: roles[tile.marker], tokens: model.tokensPerTile }));
    const item = items.length;
    const size = { width: info.width, height: info.height };
    items.push({ item, kind: MediaKind.IMAGE, size, tiles: spans.length, spans, bytes, digest });
    byDigest.set(digest, item);
    itemOf.set(mediaId, item);
  }
  return { items, itemOf };
}

/** Says in the error which of the request's media it is about. */
async function named<T>(mediaId: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (reason) {
    throw nameError(TesseraError.from(reason), mediaId);
  }
}

/**
 * The same for what later stages find: they know an item by its number in the engine's request. Any other error comes
 * back as it is.
 */
export function nameMedia(error: TesseraError, itemOf: ReadonlyMap<string, number>): TesseraError {
  const item = /^media\[(\d+)\]$/.exec(error.options.field ?? '')?.[1];
  if (item === undefined) return error;
  for (const [mediaId, number] of itemOf) if (number === Number(item)) return nameError(error, mediaId);
  return error;
}

function nameError({ code, message, options }: TesseraError, mediaId: string): TesseraError {
  return new TesseraError(code, `media_id ${quoted(mediaId)}: ${message}`, { ...options, field: 'media_part.data' });
}
