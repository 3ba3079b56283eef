import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { tessera } from '../support/tessera.js';
import { helm } from './support/cases.js';

let folder: string;
let bundle: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-placement-'));
  bundle = await demoBundleDir('float32', 'experts');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string): string => join(folder, name);

/** As `kubectl get nodes -o json` writes nodes with GPUs of 64 MiB, which no pod without a toleration gets. */
const nodes = (...counts: number[]): string =>
  JSON.stringify({
    kind: 'List',
    items: counts.map((gpus, at) => ({
      kind: 'Node',
      metadata: {
        name: `gpu-${at}.example.internal`,
        labels: { 'kubernetes.io/hostname': `gpu-${at}`, 'nvidia.com/gpu.memory': '64' },
      },
      spec: { taints: [{ key: 'nvidia.com/gpu', effect: 'NoSchedule' }] },
      status: { allocatable: { memory: '8Gi', ...(gpus > 0 ? { 'nvidia.com/gpu': String(gpus) } : {}) } },
    })),
  });

interface Plan {
  readonly configMap: { readonly data: Readonly<Record<string, string>> };
  readonly values: string;
  readonly placement: string;
}

async function plan(...counts: number[]): Promise<Plan> {
  writeFileSync(file('nodes.json'), nodes(...counts));
  const flags = [
    '--nodes',
    file('nodes.json'),
    '--configmap',
    'experts',
    '--values',
    file('values.yaml'),
    '--values-of',
    'llm',
  ];
  const { status, stdout, stderr } = await tessera(['place', 'plan', '--bundle', bundle, ...flags]);
  expect(status, stderr).toBe(0);
  const configMap = parse(stdout);
  writeFileSync(file('placement.json'), configMap.data['placement.json']);
  return { configMap, values: file('values.yaml'), placement: file('placement.json') };
}

const shared = ['--set', 'nats.url=nats://nats:4222', '--set', 'model.source.pvc.claimName=demo'];
const template = (...args: string[]) => helm('template', 'demo', 'deploy/charts/llm', ...shared, ...args);

test('what is planned for nodes is what the chart starts there: a shard a GPU, each with its part', async () => {
  const { configMap, values, placement } = await plan(2, 1);
  const groups = Object.keys(JSON.parse(configMap.data['placement.json'] as string).groups);
  expect(groups).toEqual(['gpu-0-gpu0', 'gpu-0-gpu1', 'gpu-1']);
  const { status, stdout, stderr } = await template(
    '--values',
    values,
    '--set-file',
    `experts.placement.content=${placement}`,
  );
  expect(status, stderr).toBe(0);
  const manifests = parseAllDocuments(stdout).flatMap((document) => document.toJS() ?? []);
  const shards = manifests.filter(
    ({ kind, metadata }) => kind === 'StatefulSet' && metadata.labels['app.kubernetes.io/component'] === 'experts',
  );
  const placed = shards.map(({ spec: { template: pod } }) => {
    const [{ env, resources }] = pod.spec.containers;
    return {
      group: env.find(({ name }: { name: string }) => name === 'TESSERA_EXPERTS_GROUP').value,
      node: pod.spec.nodeSelector['kubernetes.io/hostname'],
      gpus: resources.limits['nvidia.com/gpu'],
      alone: pod.spec.affinity !== undefined,
      tolerates: pod.spec.tolerations.map(({ key }: { key: string }) => key).includes('nvidia.com/gpu'),
    };
  });
  const shard = { gpus: 1, alone: false, tolerates: true };
  expect(placed).toEqual([
    { group: 'gpu-0-gpu0', node: 'gpu-0', ...shard },
    { group: 'gpu-0-gpu1', node: 'gpu-0', ...shard },
    { group: 'gpu-1', node: 'gpu-1', ...shard },
  ]);
  const rendered = manifests.find(({ metadata }) => metadata.name === 'demo-llm-placement');
  expect(JSON.parse(rendered.data['placement.json'])).toEqual(JSON.parse(configMap.data['placement.json'] as string));
});

test('a shard on a CPU node has the memory that its experts take, whatever the whole llm takes', async () => {
  const { values, placement } = await plan(0);
  const size = ['--set', 'model.sizeBytes=80000000000', '--set', 'resources.limits.memory=200Gi'];
  const content = ['--set-file', `experts.placement.content=${placement}`];
  const { status, stdout, stderr } = await template('--values', values, ...content, ...size);
  expect(status, stderr).toBe(0);
  const manifests = parseAllDocuments(stdout).flatMap((document) => document.toJS() ?? []);
  const shard = manifests.find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name.includes('experts'));
  const [{ resources }] = shard.spec.template.spec.containers;
  // The demo's experts are less than the least step of 256 MiB; 500 MB beside them.
  expect(resources).toMatchObject({ requests: { memory: '768Mi' }, limits: { memory: '1024Mi' } });
});

test.each<[what: string, args: (first: Plan) => string[], says: RegExp]>([
  [
    'a placement of another revision',
    () => ['--set-string', 'model.revision=000000000000'],
    /is for revision [0-9a-f]{12} of the model, and model.revision is 000000000000/,
  ],
  [
    'a placement with a group that nothing starts',
    () => ['--set-json', 'experts.groups=[{"name":"gpu-0"}]'],
    /places experts with the group gpu-1, which experts.groups does not have/,
  ],
  [
    'a group to which it gives nothing',
    () => ['--set-json', 'experts.groups=[{"name":"gpu-0"},{"name":"gpu-1"},{"name":"spare"}]'],
    /experts.groups has spare, to which experts.placement.content gives no experts/,
  ],
  [
    'more shards than nodes',
    () => ['--set', 'experts.nodes=1'],
    /2 shards in 2 groups, which want 2 nodes .* there are 1/,
  ],
  ['layers beside experts', () => ['--set', 'layers.pieces=2'], /experts apart or its layers, not both/],
  [
    'a placement of the values and one of the cluster',
    () => ['--set', 'experts.placement.configMap=experts'],
    /experts.placement has both configMap and content/,
  ],
  [
    'a scaled group of which nobody knows what it can do',
    () => ['--set-json', 'experts.autoscaling={"type":"hpa"}'],
    /autoscaling.hpa.rowsPerSecond does not say how many rows/,
  ],
])('%s: refused with a sentence', async (_, args, says) => {
  const first = await plan(1, 1);
  const { status, stderr } = await template(
    '--values',
    first.values,
    '--set-file',
    `experts.placement.content=${first.placement}`,
    ...args(first),
  );
  expect(stderr).toMatch(says);
  expect(status).toBe(1);
});

test('groups without a placement, and what is no placement, are refused', async () => {
  const groups = ['--set-json', 'experts.groups=[{"name":"a"}]'];
  expect((await template(...groups)).stderr).toContain('no placement says what they hold');
  const none = await template(...groups, '--set', 'experts.placement.content=nonsense');
  expect(none.stderr).toContain('experts.placement.content is no placement');
});

/** A chart that holds a placement against the one that is there, as the llm's does with what it looks up. */
function chartOfLater(): string {
  const chart = file('later');
  mkdirSync(join(chart, 'templates'), { recursive: true });
  symlinkSync(join(root, 'deploy/charts/llm/templates/_checks.tpl'), join(chart, 'templates/_checks.tpl'));
  writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: later\nversion: 0.0.1\n');
  writeFileSync(join(chart, 'templates/later.yaml'), '{{ include "tessera-llm.checkLater" .Values }}\n');
  return chart;
}

test('a placement that is no later one than what the cluster has is refused, unless it is the same', async () => {
  const chart = chartOfLater();
  const at = (epoch: number, group: string) => JSON.stringify({ epoch, groups: { [group]: {} } });
  const later = (there: string, placement: string) =>
    helm('template', 'later', chart, '--set-json', `there=${there}`, '--set-json', `placement=${placement}`);
  for (const there of ['{}', at(2, 'b'), at(1, 'a')]) {
    const { status, stderr } = await later(there, at(there === at(2, 'b') ? 3 : 1, 'a'));
    expect(status, stderr).toBe(0);
  }
  for (const epoch of [1, 2]) {
    const { status, stderr } = await later(at(2, 'b'), at(epoch, 'a'));
    expect(stderr).toContain(`has epoch ${epoch}, and the cluster has another placement of epoch 2`);
    expect(status).toBe(1);
  }
});

test.each([
  ['as many engines as the shards have shares for', ['replicas=4', 'layers.pieces=3', 'layers.replicas=2'], undefined],
  ['an engine more', ['replicas=5', 'layers.pieces=3', 'layers.replicas=2'], /5 engines share 2 shards of piece 1/],
  [
    'engines that a scaler may add',
    ['layers.pieces=2', 'autoscaling.type=hpa', 'autoscaling.maxReplicas=3'],
    /3 engines share 1 shards of piece 1/,
  ],
  [
    'an update that starts a replica of all pieces first, with one share each',
    [
      'layers.pieces=2',
      'layers.workload=LeaderWorkerSet',
      'layers.leaderWorkerSet.maxSurge=1',
      'config.layers.enginesPerShard=1',
    ],
    /finds no share of a shard/,
  ],
  [
    'values for a piece that there is not',
    ['layers.pieces=2', 'layers.perPiece[0].replicas=2', 'layers.perPiece[1].replicas=2'],
    /perPiece has 2 entries/,
  ],
])('layer shards: %s', async (_, set, says) => {
  const { status, stderr } = await template(...set.flatMap((each) => ['--set', each]));
  if (says === undefined) expect(status, stderr).toBe(0);
  else expect(stderr).toMatch(says);
});
