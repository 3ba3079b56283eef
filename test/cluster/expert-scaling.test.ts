import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoRelease, small } from './support/demo-release.js';
import { GoldenAsker } from './support/golden-asker.js';

/** KEDA looks often and lets go soon; a shard is to compute so little that two callers are more than it should. */
const scaled = {
  type: 'keda',
  minReplicas: 1,
  maxReplicas: 2,
  behavior: {
    scaleUp: { policies: [{ type: 'Pods', value: 4, periodSeconds: 1 }] },
    scaleDown: { stabilizationWindowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 1 }] },
  },
  keda: {
    ...{ pollingInterval: 2, cooldownPeriod: 10 },
    ...{ rowsPerSecond: 20, window: '20s', prometheus: { serverAddress: 'http://10.99.0.1:9090' } },
  },
};

let release: DemoRelease;
let asker: GoldenAsker;
beforeAll(async () => {
  const { revision } = (await readBundle(await demoBundleDir('float32', 'experts'), [])).manifest;
  const placement = { revision, epoch: 1, engine: [], groups: { shared: [{ layers: 'all', experts: 'all' }] } };
  release = await DemoRelease.install('expert-scaling', {
    cut: 'experts',
    values: {
      llm: {
        experts: {
          placement: { content: JSON.stringify(placement) },
          groups: [{ name: 'shared', resources: small, autoscaling: scaled }],
        },
      },
    },
  });
  asker = await GoldenAsker.create(release.gateway);
});
afterAll(async () => {
  asker?.[Symbol.dispose]();
  await release?.[Symbol.asyncDispose]();
});

test('KEDA gives a group of experts a second shard by its rows, and takes it back; each answer is right', async () => {
  const wrong = await asker.whileAsked(async () => {
    await expect.poll(async () => (await release.readyPods('experts')).length).toBe(2);
    // The second one has come, and computes.
    await expect
      .poll(async () => Math.min(...(await release.metricOfEach('experts', 'tessera_expert_shard_rows_total'))))
      .toBeGreaterThan(0);
  });
  expect(wrong).toEqual([]);
  await expect.poll(async () => (await release.pods('experts')).length).toBe(1);
  for (const golden of goldenCases) expect(await asker.ask(golden)).toBeUndefined();
});
