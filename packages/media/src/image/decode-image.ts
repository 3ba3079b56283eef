import { throwIfAborted } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import type { ImageInfo, ImageRaster } from '../media-info.js';
import { type MediaLimits, withDefaultLimits } from '../media-limits.js';
import type { WhileWaiting } from '../while-waiting.js';
import { decodeRaster } from './decode-raster.js';
import { drawSvg } from './draw-svg.js';
import { probeImage } from './probe-image.js';
import { SvgLane } from './svg-lane.js';

export interface DecodeOptions {
  /** What `probeImage` said of these very bytes within the same limits; the header is read again when absent. */
  readonly info?: ImageInfo;
  readonly limits?: Partial<MediaLimits>;
  /** The colour that transparency is laid on: R, G, B of 0 to 255. White when absent. */
  readonly background?: readonly number[];
  readonly signal?: AbortSignal;
  /** Where SVGs are drawn; one that is shared by all callers of this process when absent. */
  readonly svgLane?: SvgLane;
  readonly whileWaiting?: WhileWaiting;
}

const sharedLane = new SvgLane();

/**
 * Decodes a picture's first frame to 8-bit sRGB: orientation applied, transparency laid on the background, grey, palette,
 * CMYK and 16-bit pictures converted (by their colour profile where they have one).
 * It decodes at full size: a reduced decode averages differently from the filter that the model was trained with.
 * Raster decoders cannot be interrupted; the signal is looked at before and after them. SVG stops at once.
 * @throws TesseraError what `probeImage` throws; MEDIA_CORRUPT when the pixels cannot be decoded to the end;
 *   MEDIA_UNSUPPORTED when they are of a kind that is not decoded; MEDIA_TOO_LARGE when decoding takes more than the
 *   limits; QUEUE_FULL when too many SVGs wait; CANCELLED or DEADLINE_EXCEEDED by the signal
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<ImageRaster> {
  const { background = [255, 255, 255], signal, svgLane: lane = sharedLane, whileWaiting } = options;
  const limits = withDefaultLimits(options.limits);
  throwIfAborted(signal);
  const info = options.info ?? (await probeImage(bytes, limits));
  throwIfAborted(signal);
  const { width, height, data } =
    info.format === 'svg'
      ? await drawSvg(bytes, { background, limits, lane, signal, whileWaiting })
      : await decodeRaster(bytes, { info, background, limits });
  throwIfAborted(signal);
  if (width !== info.width || height !== info.height) {
    throw new TesseraError(
      'MEDIA_CORRUPT',
      `the picture's header says ${info.width}x${info.height}, its pixels are ${width}x${height}`,
    );
  }
  return { kind: 'image', width, height, data };
}
