import type { IStatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import { expect, test } from 'vitest';
import { helm, parseManifests } from './support/cases.js';
import { containers, type Manifest } from './support/manifest.js';

/** What the chart of the llm makes of engines and shards, beyond what every chart does. */

const racks = 'test/charts/cases/llm-racks.yaml';

async function render(values: string, ...set: string[]): Promise<Manifest[]> {
  const flags = set.flatMap((each) => ['--set-json', each]);
  const { stdout, stderr, status } = await helm('template', 'demo', 'deploy/charts/llm', '--values', values, ...flags);
  expect(status, stderr).toBe(0);
  return parseManifests(stdout);
}

/** What `helm install` says at its end. */
async function notes(values: string, ...set: string[]): Promise<string> {
  const flags = ['--values', values, '--dry-run=client', ...set.flatMap((each) => ['--set-json', each])];
  const { stdout, stderr, status } = await helm('install', 'demo', 'deploy/charts/llm', ...flags);
  expect(status, stderr).toBe(0);
  return stdout.slice(stdout.indexOf('NOTES:'));
}

test('each group can be let go by itself: its own updateStrategy goes over that of all', async () => {
  const groups = [
    { name: 'first', updateStrategy: { rollingUpdate: { partition: 0 } } },
    { name: 'then', replicas: 2 },
  ];
  const manifests = await render(
    'test/charts/cases/llm-minimal.yaml',
    `experts.groups=${JSON.stringify(groups)}`,
    'experts.placement.configMap="placement"',
    'experts.updateStrategy={"rollingUpdate": {"partition": 1000}}',
  );
  const partitions = manifests
    .filter(({ kind }) => kind === 'StatefulSet')
    .map((each) => [each.metadata.name, (each as IStatefulSet).spec?.updateStrategy?.rollingUpdate?.partition]);
  expect(Object.fromEntries(partitions)).toEqual({
    'demo-llm': undefined,
    'demo-llm-experts-first': 0,
    'demo-llm-experts-then': 1000,
  });
});

test('the notes name the groups that an upgrade leaves to nobody, and no others', async () => {
  const groups = JSON.stringify([{ name: 'alone' }, { name: 'two', replicas: 2 }]);
  const text = await notes(
    'test/charts/cases/llm-minimal.yaml',
    `experts.groups=${groups}`,
    'experts.placement.configMap="placement"',
  );
  expect(text).toContain('until they have loaded it: demo-llm-experts-alone.\n');
  expect(await notes('test/charts/cases/llm-minimal.yaml')).not.toContain('Nobody else holds');
});

test('the notes of a LeaderWorkerSet name what kubectl knows', async () => {
  const text = await notes(racks);
  expect(text).toContain('rollout status statefulset/demo-llm\n');
  expect(text).toContain('port-forward pod/demo-llm-0 9090');
  expect(text).not.toContain('leaderworkerset/');
});

test('each shard of a LeaderWorkerSet copies its own piece, and asks for the disk that it takes', async () => {
  const manifests = await render(racks, 'model.copy.enabled=true', 'model.sizeBytes=4000000000', 'checkMemory=false');
  const all = containers({ name: 'demo', namespace: 'demo', values: {}, manifests });
  const copies = all.filter(({ init }) => init).map(({ container }) => container);
  expect(copies.map(({ args }) => args?.slice(-2))).toEqual([
    ['--piece', '0'],
    ['--piece', '$(TESSERA_LAYERS_PIECE)'],
  ]);
  const [, ofShard] = copies;
  const service = all.filter(({ init }) => !init).map(({ container }) => container);
  const piece = service[1]?.env?.find(({ name }) => name === 'TESSERA_LAYERS_PIECE');
  expect(piece?.valueFrom?.fieldRef).toBeDefined();
  expect(ofShard?.env).toContainEqual(piece);
  const disk = service.map(({ resources }) => resources?.requests?.['ephemeral-storage']);
  expect(disk).toEqual(['4000000000', '4000000000']);
});

test.each([
  ['the limit of the volume', ['model.copy={"enabled": true, "sizeLimit": "5Gi"}'], '5Gi'],
  [
    'what the values ask for themselves',
    ['model.copy.enabled=true', 'model.sizeBytes=400', 'resources.requests.ephemeral-storage="9Gi"'],
    '9Gi',
  ],
  ['nothing where the bundle is mounted', ['model.sizeBytes=400'], undefined],
])('the disk that is asked for is %s', async (_, set, asked) => {
  const manifests = await render('test/charts/cases/llm-minimal.yaml', ...set);
  const [engine] = containers({ name: 'demo', namespace: 'demo', values: {}, manifests }).filter(({ init }) => !init);
  expect(engine?.container.resources?.requests?.['ephemeral-storage']).toBe(asked);
});
