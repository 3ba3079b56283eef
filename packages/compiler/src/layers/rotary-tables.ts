import type { GraphBuilder, Value } from '../graph/index.js';
import type { RotaryTables } from './attention.js';

export interface RotaryAngles {
  /** How many positions there are. */
  readonly positions: number;
  /** Radians a position, for each of the headDim / 2 pairs. */
  readonly frequencies: readonly number[];
  /** What sines and cosines are multiplied by; 1 but for YaRN. */
  readonly scale: number;
}

/** Of float32, what is made of a table at once: those of a long context are gigabytes. */
const partBytes = 4 * 1024 * 1024;

/** cos and sin of position * frequency: the angles of rotary position embedding (Su et al. 2021). */
export function rotaryTables(g: GraphBuilder, { positions, frequencies, scale }: RotaryAngles): RotaryTables {
  const half = frequencies.length;
  const table = (name: string, of: (angle: number) => number): Value =>
    g.streamedWeights([`rotary.${name}`], [{ dtype: 'float32', shape: [positions, half] }], async (put, signal) => {
      const most = Math.min(positions, Math.max(1, Math.floor(partBytes / (4 * half))));
      const room = new Float32Array(most * half);
      for (let first = 0; first < positions; first += most) {
        signal?.throwIfAborted();
        const values = room.subarray(0, Math.min(most, positions - first) * half);
        for (let i = 0; i < values.length; i++) {
          values[i] = scale * of((first + Math.floor(i / half)) * (frequencies[i % half] as number));
        }
        await put(0, 4 * first * half, values);
      }
    })[0] as Value;
  return { cos: table('cos', Math.cos), sin: table('sin', Math.sin) };
}
