/**
 * Divides layers into pieces that follow each other, each with at least one: so that the heaviest piece is as light as can
 * be, and the others are as even as that allows.
 * @param layerBytes of each layer
 * @param firstBytes what the first piece has besides its layers
 * @param pieces from 1 to as many as there are layers
 * @returns how many layers each piece has
 */
export function divideLayers(layerBytes: readonly number[], firstBytes: number, pieces: number): number[] {
  const before = [0];
  for (const bytes of layerBytes) before.push((before.at(-1) as number) + bytes);
  const bytesOf = (from: number, to: number): number =>
    (before[to] as number) - (before[from] as number) + (from === 0 ? firstBytes : 0);
  const division = { layers: layerBytes.length, pieces };
  const { cost: heaviest } = divide({ ...division, costOf: bytesOf, join: Math.max });
  const square = (from: number, to: number): number => {
    const bytes = bytesOf(from, to);
    return bytes > heaviest ? Number.POSITIVE_INFINITY : bytes ** 2;
  };
  return divide({ ...division, costOf: square, join: (a, b) => a + b }).sizes;
}

interface Division {
  readonly layers: number;
  readonly pieces: number;
  /** Of a piece that has the layers from `from` to `to - 1`. */
  readonly costOf: (from: number, to: number) => number;
  /** What two parts cost together; more where one of them costs more. */
  readonly join: (a: number, b: number) => number;
}

/** The division that costs least: of the layers before each end, in so many pieces, from what is known of one piece less. */
function divide({ layers, pieces, costOf, join }: Division): { readonly cost: number; readonly sizes: number[] } {
  let best: { readonly cost: number; readonly sizes: number[] }[] = Array.from({ length: layers + 1 }, (_, end) =>
    end === 0 ? { cost: Number.POSITIVE_INFINITY, sizes: [] } : { cost: costOf(0, end), sizes: [end] },
  );
  for (let piece = 2; piece <= pieces; piece++) {
    best = best.map((_, end) => {
      let found = { cost: Number.POSITIVE_INFINITY, sizes: [] as number[] };
      for (let from = piece - 1; from < end; from++) {
        const earlier = best[from] as (typeof best)[number];
        const cost = join(earlier.cost, costOf(from, end));
        if (cost < found.cost) found = { cost, sizes: [...earlier.sizes, end - from] };
      }
      return found;
    });
  }
  return best[layers] as (typeof best)[number];
}
