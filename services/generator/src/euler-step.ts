/** How a prediction x becomes the velocity dz/dsigma, where z = (1 - sigma) * picture + sigma * noise. */
export type PredictionType = 'sample' | 'velocity';

export interface EulerStep {
  readonly predictionType: PredictionType;
  /** The noise level of `z`; above 0. */
  readonly from: number;
  /** The noise level to go to; below `from`. */
  readonly to: number;
  readonly guidance: number;
}

/**
 * One Euler step along the flow, in place: z += (to - from) * velocity, where the prediction is guided away from what the
 * null condition gives: x = null + guidance * (conditional - null). Numbers are doubles until they are stored.
 * @param unconditional absent at guidance 1, where the null prediction cancels out
 */
export function eulerStep(
  z: Float32Array,
  conditional: Float32Array,
  unconditional: Float32Array | undefined,
  { predictionType, from, to, guidance }: EulerStep,
): void {
  const delta = to - from;
  for (let at = 0; at < z.length; at++) {
    const here = z[at] as number;
    let predicted = conditional[at] as number;
    if (unconditional !== undefined) {
      const base = unconditional[at] as number;
      predicted = base + guidance * (predicted - base);
    }
    z[at] = here + delta * (predictionType === 'sample' ? (here - predicted) / from : predicted);
  }
}
