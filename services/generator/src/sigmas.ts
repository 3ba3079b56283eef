/**
 * Noise levels of a rectified flow, from 1 (noise) to 0 (picture): linspace(1, 0, steps + 1), bent by
 * s' = shift * s / (1 + (shift - 1) * s) as FlowMatchEulerDiscreteScheduler does.
 * @returns `steps + 1` numbers
 */
export function sigmas(steps: number, shift: number): number[] {
  return Array.from({ length: steps + 1 }, (_, step) => {
    const sigma = 1 - step / steps;
    return (shift * sigma) / (1 + (shift - 1) * sigma);
  });
}
