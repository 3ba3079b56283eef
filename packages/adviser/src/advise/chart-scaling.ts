import type { StageName } from '../profile/profile.js';
import type { Scaling, ScalingPace } from '../simulate/scaling.js';

/** Stages that pull their jobs: only these go to zero, since work waits for them in a queue. */
const pullingStages = ['encoder', 'connector', 'generator'] as const;

export function pulls(stage: StageName): boolean {
  return (pullingStages as readonly StageName[]).includes(stage);
}

/** As the charts have it (`autoscaling.behavior`) unless somebody says otherwise. */
const pullingPace: { readonly up: ScalingPace; readonly down: ScalingPace } = {
  up: {
    stabilizationSeconds: 0,
    policies: [
      { type: 'Percent', value: 100, periodSeconds: 15 },
      { type: 'Pods', value: 4, periodSeconds: 15 },
    ],
  },
  down: { stabilizationSeconds: 120, policies: [{ type: 'Percent', value: 50, periodSeconds: 60 }] },
};
const enginePace: typeof pullingPace = {
  up: {
    stabilizationSeconds: 0,
    policies: [
      { type: 'Percent', value: 100, periodSeconds: 60 },
      { type: 'Pods', value: 2, periodSeconds: 60 },
    ],
  },
  down: { stabilizationSeconds: 600, policies: [{ type: 'Pods', value: 1, periodSeconds: 120 }] },
};

/** As the charts have it: seconds between two looks at a queue, and those without a job until the last replica goes. */
const pollSeconds = 5;
const cooldownSeconds = 300;

/** A stage's autoscaling by KEDA as the charts have it, with these values in it. */
export function chartScaling(stage: StageName, values: Pick<Scaling, 'min' | 'max' | 'targets'>): Scaling {
  return { ...values, pollSeconds, cooldownSeconds, ...(pulls(stage) ? pullingPace : enginePace) };
}
