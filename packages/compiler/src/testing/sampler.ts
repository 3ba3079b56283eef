import type { GeneratorSection } from '@tessera/bundle';
import type { Session } from '@tessera/inference';
import { type Float32Tensor, tensor } from '@tessera/protocol';

export interface SampleOptions {
  readonly noise: Float32Array;
  readonly condition: Float32Array;
  readonly nullCondition: Float32Array;
  readonly steps: number;
  readonly guidance: number;
}

/** Rectified flow in Euler steps from noise to picture, guided, for a network that predicts the picture: values in [-1, 1]. */
export async function sample(
  session: Session,
  section: GeneratorSection,
  { noise, condition, nullCondition, steps, guidance }: SampleOptions,
): Promise<Float32Array> {
  const { channels, height, width, conditionLength, conditionWidth, numTrainTimesteps } = section;
  const both = Float32Array.of(...condition, ...nullCondition);
  let z = Float32Array.from(noise);
  for (let step = 0; step < steps; step++) {
    const from = 1 - step / steps;
    const to = 1 - (step + 1) / steps;
    const time = from * numTrainTimesteps;
    const doubled = new Float32Array(2 * z.length);
    doubled.set(z);
    doubled.set(z, z.length);
    const { predicted } = await session.run(
      {
        sample: tensor('float32', [2, channels, height, width], doubled),
        timestep: tensor('float32', [2], Float32Array.of(time, time)),
        condition: tensor('float32', [2, conditionLength, conditionWidth], both),
      },
      ['predicted'],
    );
    const x = (predicted as Float32Tensor).data;
    z = z.map((value, i) => {
      const free = x[i + z.length] as number;
      const clean = free + guidance * ((x[i] as number) - free);
      return value + ((to - from) * (value - clean)) / from;
    });
  }
  return z.map((value) => Math.min(1, Math.max(-1, value)));
}
