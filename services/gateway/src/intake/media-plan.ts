import type { Preprocessing } from '@tessera/bundle';
import { type ImageFormat, type MediaLimits, planTiles, probeMedia } from '@tessera/media';
import { Modality, type PromptSegment, quoted, SegmentRole, TesseraError } from '@tessera/protocol';
import type { EncodeItem } from '../routing/encode-dispatch.js';
import type { ReceivedMedia } from './media-intake.js';

/** A media item with the positions that its segments will fill. */
export interface PlannedItem extends EncodeItem {
  readonly segments: readonly PromptSegment[];
  /** Its number among the declarations; the first, where several have these bytes. */
  readonly declared: number;
  /** Its name, as declared there. */
  readonly name: string;
}

export interface MediaModel {
  readonly preprocessing: Preprocessing;
  readonly tokensPerTile: number;
}

const roles = { none: SegmentRole.WHOLE, thumbnail: SegmentRole.THUMBNAIL, tile: SegmentRole.PART } as const;

/** Registered names of the formats; what else is often sent for one is taken too. */
const mimeTypes: Readonly<Record<ImageFormat, readonly string[]>> = {
  jpeg: ['image/jpeg', 'image/jpg'],
  png: ['image/png'],
  webp: ['image/webp'],
  gif: ['image/gif'],
  avif: ['image/avif'],
  tiff: ['image/tiff'],
  svg: ['image/svg+xml'],
};

/** A request's media, as engines know them. */
export interface PlannedMedia {
  readonly items: readonly PlannedItem[];
  /** For each name the number of its item: names with equal bytes share one item. */
  readonly itemOf: ReadonlyMap<string, number>;
}

/**
 * Reads the headers of a request's media and reserves their segments; nothing is decoded here.
 * @throws TesseraError UNSUPPORTED for a model without media; REQUEST_INVALID when a declaration says another type than
 *   the bytes; and what reading a header throws, naming the item
 */
export async function planMedia(
  received: readonly ReceivedMedia[],
  model: MediaModel | undefined,
  limits: Pick<MediaLimits, 'maxBytes' | 'maxPixels'>,
): Promise<PlannedMedia> {
  const items: PlannedItem[] = [];
  const itemOf = new Map<string, number>();
  const byDigest = new Map<string, number>();
  for (const [declared, { declaration, bytes, digest }] of received.entries()) {
    if (model === undefined) throw new TesseraError('UNSUPPORTED', 'this model takes text only', { field: 'media' });
    const { name, mimeType } = declaration;
    const known = byDigest.get(digest);
    const item = known ?? items.length;
    itemOf.set(name, item);
    byDigest.set(digest, item);
    const info = await named({ name, declared }, () => probeMedia(bytes, limits));
    checkMimeType(mimeType, info.format, `media[${declared}].mime_type`);
    if (known !== undefined) continue;
    const size = { width: info.width, height: info.height };
    const segments = planTiles(size, model.preprocessing).tiles.map((tile) => ({
      role: roles[tile.marker],
      tokenCount: model.tokensPerTile,
    }));
    const tiles = segments.length;
    items.push({ item, declared, name, modality: Modality.IMAGE, size, tiles, segments, bytes, digest });
  }
  return { items, itemOf };
}

/**
 * @param said what a declaration says; empty: nothing
 * @returns the format's own name
 * @throws TesseraError REQUEST_INVALID in the field when that is another type
 */
export function checkMimeType(said: string, format: ImageFormat, field: string): string {
  const [found = '', ...others] = mimeTypes[format];
  const type = said.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === '' || type === found || others.includes(type)) return found;
  throw TesseraError.invalidField(field, `is ${quoted(said)}, but the bytes are ${found}`);
}

/** Says in the error which of the request's media it is about. */
async function named<T>(item: Pick<PlannedItem, 'name' | 'declared'>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (reason) {
    throw nameError(TesseraError.from(reason), item);
  }
}

/**
 * The same for what later stages find: they know an item by its number in the engine's request. Any other error comes
 * back as it is.
 */
export function nameMedia(error: TesseraError, items: readonly PlannedItem[]): TesseraError {
  const number = /^media\[(\d+)\]$/.exec(error.options.field ?? '')?.[1];
  const item = number === undefined ? undefined : items[Number(number)];
  return item === undefined ? error : nameError(error, item);
}

function nameError(
  { code, message, options }: TesseraError,
  { name, declared }: Pick<PlannedItem, 'name' | 'declared'>,
): TesseraError {
  return new TesseraError(code, `media ${quoted(name)}: ${message}`, { ...options, field: `media[${declared}]` });
}
