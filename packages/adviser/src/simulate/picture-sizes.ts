import type { Preprocessing } from '@tessera/bundle';
import { planTiles } from '@tessera/media/plan-tiles';
import type { PictureSize } from '../trace/trace.js';

/** Sizes that are remembered; traces have few. */
const maxKnown = 65_536;

/** How many tiles a picture becomes: by the plan that gateways make of its header. */
export class PictureSizes {
  readonly #known = new Map<number, number>();

  constructor(private readonly preprocessing: Preprocessing | undefined) {}

  tilesOf({ width, height }: PictureSize): number {
    if (this.preprocessing === undefined) return 0;
    const key = width * 2 ** 20 + height;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const { length } = planTiles({ width, height }, this.preprocessing).tiles;
    if (this.#known.size >= maxKnown) this.#known.clear();
    this.#known.set(key, length);
    return length;
  }
}
