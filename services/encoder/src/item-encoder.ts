import {
  decodeMedia,
  type MediaLimits,
  type PlannedTile,
  type Preprocessing,
  planTiles,
  preprocessTile,
  probeMedia,
} from '@tessera/media';
import { type Float32Tensor, TesseraError } from '@tessera/protocol';
import { Budget, mapOrdered } from '@tessera/runtime';
import type { EncoderEngine } from './engine.js';

export interface ItemEncoderOptions {
  readonly preprocessing: Preprocessing;
  readonly limits: MediaLimits;
  /** Pixels of all the items that are decoded at one time; each takes three bytes. */
  readonly maxPixelsInFlight: number;
  /** Tiles of one item that are prepared and encoded at one time. */
  readonly tilesAtOnce: number;
}

/** Which tiles of which item. */
export interface EncodeCall {
  readonly bytes: Uint8Array;
  /** The size that the caller planned with; another one is refused. */
  readonly expectedSize?: { readonly width: number; readonly height: number };
  /** Absent: all tiles of the plan. */
  readonly range?: { readonly firstTile: number; readonly tileCount: number };
  readonly signal: AbortSignal;
}

/** One tile's features, and what they took. */
export interface EncodedTile {
  readonly tile: PlannedTile;
  /** Tiles of the whole item. */
  readonly tiles: number;
  /** [patches, width]. */
  readonly features: Float32Tensor;
  /** Milliseconds of waiting: for memory to decode into, and for a batch. */
  readonly queueMs: number;
  /** Milliseconds of work: decoding (counted with the first tile), preparing, and the batch. */
  readonly busyMs: number;
}

/** From a file's bytes to the features of its tiles. An item is decoded once, whatever the number of its tiles. */
export class ItemEncoder {
  private readonly pixels: Budget;

  constructor(
    private readonly engine: EncoderEngine,
    private readonly options: ItemEncoderOptions,
  ) {
    this.pixels = new Budget(options.maxPixelsInFlight);
  }

  /**
   * Encodes the tiles of an item, in order.
   * @throws TesseraError what probing, decoding and the engine throw; MEDIA_CORRUPT when the size is not the expected one;
   *   REQUEST_INVALID when the range is not within the plan
   */
  async *encode(call: EncodeCall): AsyncGenerator<EncodedTile> {
    const { preprocessing, limits, tilesAtOnce } = this.options;
    const { bytes, expectedSize, signal } = call;
    const info = await probeMedia(bytes, limits);
    if (expectedSize !== undefined && (info.width !== expectedSize.width || info.height !== expectedSize.height)) {
      throw new TesseraError(
        'MEDIA_CORRUPT',
        `the media is ${info.width}x${info.height} pixels, but its tiles were planned for ${expectedSize.width}x${expectedSize.height}`,
      );
    }
    const plan = planTiles(info, preprocessing);
    const tiles = plan.tiles;
    const { firstTile, tileCount } = call.range ?? { firstTile: 0, tileCount: tiles.length };
    if (tileCount < 1 || firstTile + tileCount > tiles.length) {
      const asked = `tiles ${firstTile} to ${firstTile + tileCount - 1}`;
      throw new TesseraError('REQUEST_INVALID', `${asked} were asked for; the item has ${tiles.length}, from 0`);
    }

    const waitedFrom = performance.now();
    using _memory = await this.pixels.take(info.width * info.height, signal);
    using coming = this.engine.announce();
    const decodeFrom = performance.now();
    const raster = await decodeMedia(bytes, { info, limits, background: preprocessing.background, signal });
    const decodeMs = performance.now() - decodeFrom;
    const waitMs = decodeFrom - waitedFrom;

    const range = tiles.slice(firstTile, firstTile + tileCount);
    let prepared = 0;
    yield* mapOrdered(range, tilesAtOnce, signal, async (tile, tileSignal) => {
      const isFirst = tile.index === firstTile;
      const prepareFrom = performance.now();
      const pixelValues = await preprocessTile(raster, tile, preprocessing, tileSignal);
      const prepareMs = performance.now() - prepareFrom + (isFirst ? decodeMs : 0);
      if (++prepared === range.length) coming[Symbol.dispose]();
      const { result, queueMs, busyMs } = await this.engine.encode(pixelValues, tileSignal);
      return {
        tile,
        tiles: tiles.length,
        features: result,
        queueMs: queueMs + (isFirst ? waitMs : 0),
        busyMs: prepareMs + busyMs,
      };
    });
  }
}
