/** A vocabulary in the order of its texts: what begins like a text lies side by side, and is found by halving. */
export class SortedTexts {
  readonly #texts: readonly string[];
  readonly #ids: Int32Array;
  /** By first UTF-16 unit, where the texts begin that begin with it, and where they end. */
  readonly #first = new Map<number, readonly [from: number, to: number]>();

  constructor(ids: ReadonlyMap<string, number>) {
    const texts = [...ids.keys()].filter((text) => text !== '').sort(byUnits);
    this.#texts = texts;
    this.#ids = Int32Array.from(texts, (text) => ids.get(text) as number);
    for (let from = 0; from < texts.length; ) {
      const unit = (texts[from] as string).charCodeAt(0);
      let to = from + 1;
      while (to < texts.length && (texts[to] as string).charCodeAt(0) === unit) to++;
      this.#first.set(unit, [from, to]);
      from = to;
    }
  }

  /** Tells every text of the vocabulary that stands at a place, the shortest first. */
  beginningsAt(text: string, at: number, tell: (length: number, id: number) => void): void {
    const range = at < text.length ? this.#first.get(text.charCodeAt(at)) : undefined;
    if (range === undefined) return;
    let [from, to] = range;
    for (let length = 1; from < to; length++) {
      const shortest = this.#texts[from] as string;
      if (shortest.length === length) {
        tell(length, this.#ids[from] as number);
        from++;
      }
      if (at + length >= text.length) return;
      const unit = text.charCodeAt(at + length);
      from = this.#bound(from, to, length, unit);
      to = this.#bound(from, to, length, unit + 1);
    }
  }

  /** The first of some texts whose unit at a place is not below another. All have one there. */
  #bound(from: number, to: number, place: number, unit: number): number {
    let [low, high] = [from, to];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#texts[middle] as string).charCodeAt(place) < unit) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function byUnits(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
