import type { Preprocessing } from '@tessera/bundle';
import { mapOrdered } from '@tessera/flow';
import type { BatchedGraph } from '@tessera/inference';
import {
  decodeMedia,
  justWait,
  type MediaInfo,
  type MediaLimits,
  type MediaRaster,
  type PlannedTile,
  planTiles,
  preprocessTile,
  probeMedia,
  type SvgLane,
  type WhileWaiting,
} from '@tessera/media';
import { type Float32Tensor, TesseraError } from '@tessera/protocol';
import { Budget } from './budget.js';

export interface ItemEncoderOptions {
  readonly preprocessing: Preprocessing;
  readonly limits: MediaLimits;
  /** Pixels of all the items that are decoded at one time; each takes three bytes. */
  readonly maxPixelsInFlight: number;
  /** Where SVGs are drawn. */
  readonly svgLane: SvgLane;
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
  /** Told of the waits for memory and for a place to draw in: a job need not hold its own place meanwhile. */
  readonly whileWaiting?: WhileWaiting;
}

/** One tile's features, and what they took. */
export interface EncodedTile {
  readonly tile: PlannedTile;
  /** Tiles of the whole item. */
  readonly tiles: number;
  /** [patches, width]. */
  readonly features: Float32Tensor;
  /** Milliseconds of waiting: for memory to decode into, for a place to draw in, and for a batch. */
  readonly queueMs: number;
  /** Milliseconds of work: decoding (counted with the first tile), preparing, and the batch. */
  readonly busyMs: number;
}

/** From a file's bytes to the features of its tiles. An item is decoded once, whatever the number of its tiles. */
export class ItemEncoder {
  /** Bytes of decoded pixels. */
  private readonly memory: Budget;

  constructor(
    private readonly graph: BatchedGraph,
    private readonly options: ItemEncoderOptions,
  ) {
    this.memory = new Budget(options.maxPixelsInFlight * 3);
  }

  /**
   * Encodes the tiles of an item, in order.
   * @throws TesseraError what probing, decoding and the graph throw; MEDIA_CORRUPT when the size is not the expected one;
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

    let waitMs = 0;
    const waiting: WhileWaiting = async (wait) => {
      const waitedFrom = performance.now();
      try {
        return await (call.whileWaiting ?? justWait)(wait);
      } finally {
        waitMs += performance.now() - waitedFrom;
      }
    };
    const takeMemory = () => this.takeMemory(info.memoryBytes, waiting, signal);
    const decodeFrom = performance.now();
    // A drawing waits its turn, and may be slow: it holds no memory that others could use, and keeps no batch waiting.
    const isDrawing = info.format === 'svg';
    using _memory = isDrawing ? undefined : await takeMemory();
    using comingSoon = isDrawing ? undefined : this.graph.announce();
    const raster = await this.decode(call, info, waiting);
    using _drawn = isDrawing ? await takeMemory() : undefined;
    using coming = comingSoon ?? this.graph.announce();
    const decodeMs = performance.now() - decodeFrom - waitMs;

    const range = tiles.slice(firstTile, firstTile + tileCount);
    let prepared = 0;
    yield* mapOrdered(range, tilesAtOnce, signal, async (tile, tileSignal) => {
      const isFirst = tile.index === firstTile;
      const prepareFrom = performance.now();
      const pixelValues = await preprocessTile(raster, tile, preprocessing, tileSignal);
      const prepareMs = performance.now() - prepareFrom + (isFirst ? decodeMs : 0);
      if (++prepared === range.length) coming[Symbol.dispose]();
      const { result, queueMs, busyMs } = await this.graph.run(pixelValues, tileSignal);
      return {
        tile,
        tiles: tiles.length,
        features: result,
        queueMs: queueMs + (isFirst ? waitMs : 0),
        busyMs: prepareMs + busyMs,
      };
    });
  }

  private async takeMemory(bytes: number, waiting: WhileWaiting, signal: AbortSignal): Promise<Disposable> {
    const taken = this.memory.take(bytes, signal);
    // Most find it free, and nobody need be told.
    const atOnce = await Promise.race([taken, undefined]);
    if (atOnce !== undefined) return atOnce;
    try {
      return await waiting(taken);
    } catch (reason) {
      // The wait may have ended well where what the caller did behind it did not.
      taken.then(
        (memory) => memory[Symbol.dispose](),
        () => undefined,
      );
      throw reason;
    }
  }

  private decode({ bytes, signal }: EncodeCall, info: MediaInfo, whileWaiting: WhileWaiting): Promise<MediaRaster> {
    const { preprocessing, limits, svgLane } = this.options;
    const { background } = preprocessing;
    return decodeMedia(bytes, { info, limits, background, signal, svgLane, whileWaiting });
  }
}
