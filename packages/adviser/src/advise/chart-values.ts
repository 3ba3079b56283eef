import { type StageName, stagesOf } from '../profile/profile.js';
import type { Question, Replicas } from './find-replicas.js';
import type { ScalingOf } from './find-scaling.js';

/** A part of the values of the umbrella chart. */
export type ChartValues = { readonly [key: string]: ChartValues | string | number | boolean };

/** What makes the charts in deploy/charts run these replicas, or scale by KEDA as it was simulated. */
export function chartValues({ profile }: Question, replicas: Replicas, scaling: ScalingOf): ChartValues {
  return Object.fromEntries(stagesOf(profile).map((stage) => [stage, valuesOf(stage, replicas, scaling)]));
}

function valuesOf(stage: StageName, replicas: Replicas, scaling: ScalingOf): ChartValues {
  const scaled = scaling[stage];
  if (scaled === undefined) return { replicas: replicas[stage] ?? 1, autoscaling: { type: 'none' } };
  const { min, max, targets, pollSeconds, cooldownSeconds } = scaled;
  const { jobs, waiting, kvUsage } = targets;
  const keda: ChartValues =
    jobs === undefined
      ? { waiting: waiting ?? 1, kvUsage: kvUsage ?? 1 }
      : { lagThreshold: jobs, pollingInterval: pollSeconds, cooldownPeriod: cooldownSeconds };
  return { autoscaling: { type: 'keda', minReplicas: min, maxReplicas: max, keda } };
}
