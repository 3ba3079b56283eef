import { concat, cos, type GraphBuilder, mul, sin, unsqueeze, type Value } from '../graph/index.js';

const period = 10000;

/** Frequencies from 1 down towards 1 / 10000, geometrically. */
function frequencies(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => period ** (-i / count));
}

/** t [batch] -> [batch, width]: cosines, then sines, of t at each frequency (diffusers' Timesteps, flipped). */
export function timestepEmbedding(t: Value, width: number): Value {
  const half = width / 2;
  const angles = mul(unsqueeze(t, 1), t.graph.constant('float32', [1, half], frequencies(half)));
  return concat([cos(angles), sin(angles)], 1);
}

/** Sines, then cosines, of one coordinate at each frequency. */
function coordinate(position: number, width: number): number[] {
  const angles = Array.from(frequencies(width / 2), (frequency) => position * frequency);
  return [...angles.map(Math.sin), ...angles.map(Math.cos)];
}

export interface GridOptions {
  readonly rows: number;
  readonly columns: number;
  readonly width: number;
  /** Grid steps are this much shorter: what lets a model trained on a small grid be used on a larger one. */
  readonly scale: number;
}

/** The fixed embedding of a grid, [1, rows * columns, width]: x in the first half, y in the second. */
export function gridEmbedding(g: GraphBuilder, { rows, columns, width, scale }: GridOptions): Value {
  const shape = [1, rows * columns, width];
  return g.weight('grid_embedding', { dtype: 'float32', shape }, async () => {
    const values: number[] = [];
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        values.push(...coordinate(x / scale, width / 2), ...coordinate(y / scale, width / 2));
      }
    }
    return Float32Array.from(values);
  });
}
