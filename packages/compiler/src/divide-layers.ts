/**
 * Divides layers into pieces that follow each other, each with at least one, so that the heaviest piece is as light as can
 * be.
 * @param layerBytes of each layer
 * @param firstBytes what the first piece has besides its layers
 * @param pieces from 1 to as many as there are layers
 * @returns how many layers each piece has
 */
export function divideLayers(layerBytes: readonly number[], firstBytes: number, pieces: number): number[] {
  const count = layerBytes.length;
  const before = [0];
  for (const bytes of layerBytes) before.push((before.at(-1) as number) + bytes);
  const bytesOf = (from: number, to: number): number =>
    (before[to] as number) - (before[from] as number) + (from === 0 ? firstBytes : 0);
  // best[end]: the lightest heaviest piece, and where the last one begins, for the layers before `end` in so many pieces.
  let best = Array.from({ length: count + 1 }, (_, end) => ({ heaviest: end === 0 ? 0 : bytesOf(0, end), from: 0 }));
  const steps = [best];
  for (let piece = 2; piece <= pieces; piece++) {
    const last = best;
    best = last.map((_, end) => {
      let found = { heaviest: Number.POSITIVE_INFINITY, from: 0 };
      for (let from = piece - 1; from < end; from++) {
        const heaviest = Math.max((last[from] as { heaviest: number }).heaviest, bytesOf(from, end));
        if (heaviest < found.heaviest) found = { heaviest, from };
      }
      return found;
    });
    steps.push(best);
  }
  const sizes: number[] = [];
  for (let end = count, piece = pieces - 1; piece >= 0; piece--) {
    const { from } = (steps[piece] as typeof best)[end] as { from: number };
    sizes.unshift(end - from);
    end = from;
  }
  return sizes;
}
