import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { root } from '@tessera/testing/repository';
import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { helm, parseManifests } from './support/cases.js';
import { containers, type Manifest, named } from './support/manifest.js';

/** What a change of a release's values, or of its name, makes of what is there. */

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-changes-'));
  writeChartOfKeptReplicas(join(folder, 'kept'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function render(release: string, chart: string, values: string, ...set: string[]): Promise<Manifest[]> {
  const flags = set.flatMap((each) => ['--set-json', each]);
  const { stdout, stderr, status } = await helm('template', release, chart, '--values', values, ...flags);
  expect(status, stderr).toBe(0);
  return parseManifests(stdout);
}

const encoder = (...set: string[]) =>
  render('demo', 'deploy/charts/encoder', 'test/charts/cases/encoder-minimal.yaml', ...set);
const hpa = ['autoscaling.type="hpa"', 'autoscaling.hpa.cpuPercent=70'];
const keda = [
  'autoscaling.type="keda"',
  'model.revision="0123456789ab"',
  'autoscaling.keda.natsMonitoring.endpoint="nats:8222"',
];

test("from one autoscaler to the other: KEDA's is not taken for the chart's, and its webhook lets both be", async () => {
  const own = (await encoder(...hpa)).find(({ kind }) => kind === 'HorizontalPodAutoscaler');
  expect(own?.metadata.annotations).toMatchObject({ 'validations.keda.sh/hpa-ownership': 'false' });
  const scaled = (await encoder(...keda)).find(({ kind }) => kind === 'ScaledObject') as Manifest & IScaledObject;
  const made = scaled.spec.advanced?.horizontalPodAutoscalerConfig?.name ?? `keda-hpa-${scaled.metadata.name}`;
  expect(made).not.toBe(own?.metadata.name);
});

/** Writes a chart that renders what the library keeps of a workload that is there. */
function writeChartOfKeptReplicas(chart: string): void {
  mkdirSync(join(chart, 'templates'), { recursive: true });
  mkdirSync(join(chart, 'charts'));
  symlinkSync(join(root, 'deploy/charts/library'), join(chart, 'charts/tessera-library'));
  writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: tessera-encoder\nversion: 0.0.1\n');
  const kept = '{{ include "tessera.keptReplicas" (dict "part" $part "live" .Values.live) }}';
  const head = '{{- $part := dict "root" . "service" "encoder" }}{{ template "tessera.part" $part }}';
  writeFileSync(join(chart, 'templates/kept.yaml'), `${head}\nkind: Kept\nmetadata: {name: kept}\nspec:\n  ${kept}\n`);
}

const helmSet = (operation: string) => ({ manager: 'helm', operation, fieldsV1: { 'f:spec': { 'f:replicas': {} } } });
const scalerSet = {
  manager: 'kube-controller-manager',
  operation: 'Update',
  subresource: 'scale',
  fieldsV1: { 'f:spec': { 'f:replicas': {} } },
};
const ready = { manager: 'kubelet', operation: 'Update', subresource: 'status', fieldsV1: { 'f:status': {} } };

test.each([
  ['nothing that is there', 'hpa', undefined, [], undefined],
  ['what helm alone has set, by server-side apply', 'hpa', 16, [helmSet('Apply'), ready], 16],
  ['what the autoscaler has set', 'hpa', 20, [helmSet('Apply'), scalerSet], undefined],
  ['what client-side apply would take for one', 'keda', 20, [helmSet('Update'), scalerSet], 20],
  ["zero, which KEDA has set and so is nobody's", 'keda', 0, [{ ...helmSet('Apply'), fieldsV1: {} }], undefined],
  ['zero, which no HPA leaves', 'hpa', 0, [{ ...helmSet('Apply'), fieldsV1: {} }], 2],
])('an autoscaler that is turned on finds %s', async (_, type, replicas, managedFields, kept) => {
  const live = replicas === undefined ? {} : { metadata: { managedFields }, spec: { replicas } };
  writeFileSync(join(folder, 'live.json'), JSON.stringify({ live, autoscaling: { type, minReplicas: 2 } }));
  const [found] = await render('demo', join(folder, 'kept'), join(folder, 'live.json'));
  expect((found?.spec as { replicas?: number } | null)?.replicas).toBe(kept);
});

/** The image of each stage's own container, without its registry. */
const imagesOf = (manifests: Manifest[]): string[] =>
  containers({ name: 'demo', namespace: 'demo', values: {}, manifests })
    .filter(({ init }) => !init)
    .map(({ container }) => container.image?.split('/').at(-1) ?? '')
    .sort();

test('a tag for all takes those with a GPU to the images with CUDA; a tag of their own is theirs', async () => {
  const gpu = (...set: string[]) => render('demo', 'deploy/charts/tessera', 'deploy/examples/tessera-gpu.yaml', ...set);
  expect(imagesOf(await gpu('global.image.tag="0.2.0"', 'llm.image.tag="mine"'))).toEqual([
    'tessera-connector:0.2.0',
    'tessera-encoder:0.2.0-cuda',
    'tessera-gateway:0.2.0',
    'tessera-generator:0.2.0-cuda',
    'tessera-llm:mine',
    'tessera-tools:0.2.0',
  ]);
});

test.each([
  ['starts the new pod first', [], { maxSurge: 1, maxUnavailable: 0 }],
  ['with a GPU ends an old pod first', ['gpu.type="device"'], { maxSurge: 0, maxUnavailable: 1 }],
  [
    'with a GPU more starts the new one first',
    ['gpu.type="device"', 'updateStrategy.rollingUpdate.maxSurge=1'],
    { maxSurge: 1, maxUnavailable: 0 },
  ],
  ['takes two at a time', ['updateStrategy.rollingUpdate.maxUnavailable=2'], { maxSurge: 0, maxUnavailable: 2 }],
])('a rollout %s', async (_, set, rollingUpdate) => {
  const workload = (await encoder(...set)).find(({ kind }) => kind === 'Deployment') as IDeployment;
  expect(workload.spec?.strategy).toEqual({ type: 'RollingUpdate', rollingUpdate });
});

test.each(['llm-gateway', 'encoder-llm', 'streams'])('stages of a release called %s share no name', async (release) => {
  const names = (await render(release, 'deploy/charts/tessera', 'deploy/examples/tessera-laptop.yaml')).map(named);
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  expect(names).toContain(`Deployment ${release}-gateway`);
});

test('a release with nats in its name is told how its NATS is to be called, which its address then names', async () => {
  const flags = ['--values', 'deploy/examples/tessera-laptop.yaml', '--set', 'nats.enabled=true'];
  const umbrella = (...more: string[]) => helm('template', 'my-nats', 'deploy/charts/tessera', ...flags, ...more);
  expect((await umbrella()).stderr).toContain('set nats.fullnameOverride to my-nats-nats');
  const { stderr } = await umbrella('--set', 'nats.fullnameOverride=my-nats-nats');
  expect(stderr).toContain('the chart of NATS is not in this copy of the chart');
});
