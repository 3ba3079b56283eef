import { beforeAll, expect, test } from 'vitest';
import { chart, stages } from './support/charts.js';
import { modelClaim } from './support/model.js';
import { Namespace } from './support/namespace.js';
import { useNodes } from './support/nodes.js';

/**
 * Each stage alone and all together, on fake nodes: pods are Ready as soon as they are scheduled, so that this is about what
 * the API server, the controllers and Helm have to say.
 */
beforeAll(() => useNodes('fake'));

const shared = {
  nats: { url: 'nats://nats:4222' },
  model: { revision: '0123456789ab', source: { pvc: { claimName: 'model' } } },
};
const keda = { type: 'keda', keda: { natsMonitoring: { endpoint: 'nats:8222' } } };
const prometheus = { type: 'keda', keda: { prometheus: { serverAddress: 'http://prometheus:9090' } } };
const extras = { podMonitor: { enabled: true } };

/** As much of each chart as there is: what is left out leaves nothing behind. */
const values: Record<(typeof stages)[number], object> = {
  encoder: { ...shared, ...extras, autoscaling: { ...keda, minReplicas: 1 } },
  connector: { ...shared, ...extras, autoscaling: { ...keda, minReplicas: 1 } },
  generator: { ...shared, ...extras, autoscaling: { ...keda, minReplicas: 1 } },
  gateway: { ...shared, ...extras, autoscaling: prometheus, headlessService: { enabled: true } },
  llm: { ...shared, ...extras },
};

const { nats, model, ...rest } = { ...shared };
const together = { ...rest, global: { nats, model }, ...Object.fromEntries(stages.map((stage) => [stage, extras])) };

/** What is there of a release's workloads: their images, and how many of their pods are Ready. */
async function workloads(namespace: Namespace): Promise<Record<string, { annotation?: string; ready: number }>> {
  const found = await namespace.objects('deployments,statefulsets');
  return Object.fromEntries(
    found.map(({ metadata, spec, status }) => [
      metadata.name,
      { annotation: spec?.template?.metadata?.annotations?.['tests/revision'], ready: status?.readyReplicas ?? 0 },
    ]),
  );
}

test.each([
  ...stages.map((stage) => [stage, values[stage], ['--set', 'podAnnotations.tests/revision=two']] as const),
  ['tessera', together, stages.flatMap((stage) => ['--set', `${stage}.podAnnotations.tests/revision=two`])] as const,
])('%s is installed, upgraded, rolled back and uninstalled, and nothing of it stays', async (name, given, change) => {
  await using namespace = await Namespace.create(`lifecycle-${name}`);
  await using _model = await modelClaim(namespace, '/');
  const folder = chart(name);
  const wait = ['--wait', '--timeout', '300s'];
  const input = JSON.stringify(given);
  await namespace.helm(['install', name, folder, '--values', '-', ...wait], input);
  const first = await workloads(namespace);
  expect(Object.keys(first).length).toBeGreaterThan(0);
  for (const workload of Object.values(first)) expect(workload).toMatchObject({ annotation: undefined, ready: 1 });

  await namespace.helm(['upgrade', name, folder, '--values', '-', ...change, ...wait], input);
  const second = await workloads(namespace);
  expect(Object.keys(second)).toEqual(Object.keys(first));
  for (const { annotation } of Object.values(second)) expect(annotation).toBe('two');

  await namespace.helm(['rollback', name, '1', ...wait]);
  for (const { annotation } of Object.values(await workloads(namespace))) expect(annotation).toBeUndefined();

  await namespace.helm(['uninstall', name, ...wait]);
  await expect.poll(() => namespace.leftovers()).toEqual(['persistentvolumeclaim/model']);
});
