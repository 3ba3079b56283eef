import type { StageName } from '../profile/profile.js';
import type { Scaling, ScalingPace } from '../simulate/scaling.js';

/** Stages that pull their jobs: only these go to zero, since work waits for them in a queue. */
const pullingStages = ['encoder', 'connector', 'generator'] as const;

export function pulls(stage: StageName): boolean {
  return (pullingStages as readonly StageName[]).includes(stage);
}

/** The charts' defaults for stages of a kind: what KEDA looks at and how often, and how fast the autoscaler may go. */
type ChartDefaults = Pick<Scaling, 'pollSeconds' | 'cooldownSeconds' | 'up' | 'down'>;

const pace = (stabilizationSeconds: number, ...policies: ScalingPace['policies'][number][]): ScalingPace => ({
  stabilizationSeconds,
  policies,
});

const pulling: ChartDefaults = {
  pollSeconds: 5,
  cooldownSeconds: 300,
  up: pace(0, { type: 'Percent', value: 100, periodSeconds: 15 }, { type: 'Pods', value: 4, periodSeconds: 15 }),
  down: pace(120, { type: 'Percent', value: 50, periodSeconds: 60 }),
};

const engines: ChartDefaults = {
  pollSeconds: 15,
  cooldownSeconds: 300,
  up: pace(0, { type: 'Percent', value: 100, periodSeconds: 60 }, { type: 'Pods', value: 2, periodSeconds: 60 }),
  down: pace(600, { type: 'Pods', value: 1, periodSeconds: 120 }),
};

/** A stage's autoscaling by KEDA as the charts have it (`autoscaling`), with these values in it. */
export function chartScaling(stage: StageName, values: Pick<Scaling, 'min' | 'max' | 'targets'>): Scaling {
  return { ...values, ...(pulls(stage) ? pulling : engines) };
}
