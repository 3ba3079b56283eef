import type { Preprocessing } from '@tessera/bundle';
import type { Float32Tensor } from '@tessera/protocol';
import { type DecodeOptions, decodeImage } from './image/decode-image.js';
import { preprocessImageTile } from './image/preprocess-image.js';
import { probeImage } from './image/probe-image.js';
import type { MediaInfo, MediaRaster } from './media-info.js';
import type { MediaLimits } from './media-limits.js';
import type { PlannedTile } from './plan-tiles.js';

export { encodePng } from './image/encode-png.js';
export { defaultSvgLane, SvgLane, type SvgLaneOptions } from './image/svg-lane.js';
export * from './media-info.js';
export { defaultMediaLimits, type MediaLimits } from './media-limits.js';
export * from './plan-tiles.js';
export { justWait, type WhileWaiting } from './while-waiting.js';
export type { DecodeOptions };

// What follows chooses by kind. A second kind adds a folder and a branch here; callers stay as they are.

/** Reads a media item's header and refuses, from the header alone, what may not be decoded. See `probeImage`. */
export function probeMedia(bytes: Uint8Array, limits?: Partial<MediaLimits>): Promise<MediaInfo> {
  return probeImage(bytes, limits);
}

/** Decodes a media item. See `decodeImage`. */
export function decodeMedia(bytes: Uint8Array, options?: DecodeOptions): Promise<MediaRaster> {
  return decodeImage(bytes, options);
}

/** Makes the encoder's input of one planned tile: float32 [3, height, width]. See `preprocessImageTile`. */
export function preprocessTile(
  raster: MediaRaster,
  tile: PlannedTile,
  preprocessing: Preprocessing,
  signal?: AbortSignal,
): Promise<Float32Tensor> {
  return preprocessImageTile(raster, tile, preprocessing, signal);
}
