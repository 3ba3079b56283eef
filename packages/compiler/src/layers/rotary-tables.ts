import type { GraphBuilder } from '../graph/index.js';
import type { RotaryTables } from './attention.js';

export interface RotaryAngles {
  /** How many positions there are. */
  readonly positions: number;
  /** Radians a position, for each of the headDim / 2 pairs. */
  readonly frequencies: readonly number[];
  /** What sines and cosines are multiplied by; 1 but for YaRN. */
  readonly scale: number;
}

/** cos and sin of position * frequency: the angles of rotary position embedding (Su et al. 2021). */
export function rotaryTables(g: GraphBuilder, { positions, frequencies, scale }: RotaryAngles): RotaryTables {
  const half = frequencies.length;
  const table = (name: string, of: (angle: number) => number) =>
    g.weight(`rotary.${name}`, { dtype: 'float32', shape: [positions, half] }, async () => {
      const values = new Float32Array(positions * half);
      for (let i = 0; i < values.length; i++) {
        values[i] = scale * of(Math.floor(i / half) * (frequencies[i % half] as number));
      }
      return values;
    });
  return { cos: table('cos', Math.cos), sin: table('sin', Math.sin) };
}
