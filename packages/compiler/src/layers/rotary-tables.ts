import type { GraphBuilder } from '../graph/index.js';
import type { RotaryTables } from './attention.js';

/** cos and sin of position * theta^(-2 i / headDim): the angles of rotary position embedding (Su et al. 2021). */
export function rotaryTables(
  g: GraphBuilder,
  { positions, headDim, theta }: { positions: number; headDim: number; theta: number },
): RotaryTables {
  const half = headDim / 2;
  const table = (name: string, of: (angle: number) => number) =>
    g.weight(`rotary.${name}`, { dtype: 'float32', shape: [positions, half] }, async () => {
      const values = new Float32Array(positions * half);
      for (let i = 0; i < values.length; i++) values[i] = of(Math.floor(i / half) * theta ** (-(i % half) / half));
      return values;
    });
  return { cos: table('cos', Math.cos), sin: table('sin', Math.sin) };
}
