import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chartScaling, stageNames } from '@tessera/adviser';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

interface Pace {
  readonly stabilizationWindowSeconds: number;
  readonly selectPolicy: string;
  readonly policies: readonly unknown[];
}

interface ChartAutoscaling {
  readonly keda: { readonly pollingInterval: number; readonly cooldownPeriod: number };
  readonly behavior: { readonly scaleUp: Pace; readonly scaleDown: Pace };
}

/** The chart's values in the adviser's words, which knows of no other policy than the largest change. */
function inWords({ keda, behavior }: ChartAutoscaling) {
  const pace = ({ stabilizationWindowSeconds, selectPolicy, policies }: Pace) => {
    expect(selectPolicy).toBe('Max');
    return { stabilizationSeconds: stabilizationWindowSeconds, policies };
  };
  return {
    pollSeconds: keda.pollingInterval,
    cooldownSeconds: keda.cooldownPeriod,
    up: pace(behavior.scaleUp),
    down: pace(behavior.scaleDown),
  };
}

// The gateway is left as it is: see findScaling.
test.each(stageNames.filter((stage) => stage !== 'gateway'))(
  'the adviser simulates the autoscaling that the chart of the %s has',
  (stage) => {
    const values = readFileSync(join(root, 'deploy/charts', stage, 'values.yaml'), 'utf8');
    const { autoscaling } = parse(values) as { autoscaling: ChartAutoscaling };
    expect(chartScaling(stage, { min: 1, max: 10, targets: {} })).toEqual({
      ...{ min: 1, max: 10, targets: {} },
      ...inWords(autoscaling),
    });
  },
);
