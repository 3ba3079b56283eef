import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { tessera } from '../support/tessera.js';

let folder: string;
let bundle: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-place-'));
  bundle = await demoBundleDir('float32', 'experts');
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string): string => join(folder, name);
/** Writes a placement of the bundle's revision, with what is given. */
function placementFile(content: object): string {
  const { revision } = JSON.parse(readFileSync(join(bundle, 'bundle.json'), 'utf8'));
  writeFileSync(file('wrong.json'), JSON.stringify({ revision, epoch: 1, ...content }));
  return file('wrong.json');
}

const layers = Array.from({ length: 6 }, () => [500, 300, 90, 40, 30, 20, 10, 10]);

test('a placement is planned, compared, and put where it is looked for', async () => {
  writeFileSync(file('counts.json'), JSON.stringify({ layers }));
  const plan = ['place', 'plan', '--bundle', bundle, '--nodes', '2x60Mi', '--counts', file('counts.json')];
  const planned = await tessera([...plan, '--out', file('first.json'), '--json']);
  expect(planned.status, planned.stderr).toBe(0);
  const report = JSON.parse(planned.stdout);
  expect(report.worstImbalance).toBeLessThan(0.1001);
  expect(report.nodes.map(({ node }: { node: string }) => node)).toEqual(['node-0', 'node-1']);
  expect(JSON.parse(readFileSync(file('first.json'), 'utf8'))).toEqual(report.placement);

  const shown = await tessera([...plan, '--current', file('first.json'), '--out', file('second.json')]);
  expect(shown.stdout).toMatch(/node-0 +\d\d\.\d %/);
  expect(shown.stderr).toMatch(/before: .* longer than if all were even/);
  const same = await tessera(['place', 'diff', file('first.json'), file('second.json'), '--bundle', bundle]);
  expect(same.stderr).toContain('the same experts on the same nodes');

  // The other way round: the last ones are hot.
  writeFileSync(file('counts.json'), JSON.stringify({ layers: layers.map((counts) => counts.toReversed()) }));
  await tessera([...plan, '--current', file('first.json'), '--out', file('third.json')]);
  const diff = await tessera(['place', 'diff', file('first.json'), file('third.json'), '--bundle', bundle, '--json']);
  expect(JSON.parse(diff.stdout).length).toBeGreaterThan(0);

  const apply = (name: string) =>
    tessera(['place', 'apply', file(name), '--bundle', bundle, '--to', file('live.json')]);
  const epoch = (): number => JSON.parse(readFileSync(file('live.json'), 'utf8')).epoch;
  await apply('third.json');
  expect(epoch()).toBe(2);
  // An earlier plan, applied later, is a later placement.
  await apply('first.json');
  expect(epoch()).toBe(3);
});

/** As `kubectl get nodes -o json` writes them. */
const clusterNodes = JSON.stringify({
  kind: 'List',
  items: ['east-1', 'east-2'].map((name) => ({
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    spec: {},
    status: { allocatable: { memory: '60Mi' } },
  })),
});

test('for Kubernetes: nodes from kubectl, a ConfigMap for kubectl, values for the chart', async () => {
  writeFileSync(file('nodes.json'), clusterNodes);
  const plan = ['place', 'plan', '--bundle', bundle, '--nodes', file('nodes.json'), '--configmap', 'experts'];
  const planned = await tessera([...plan, '--namespace', 'serving', '--values', file('values.yaml')]);
  expect(planned.status, planned.stderr).toBe(0);
  const manifest = parse(planned.stdout);
  expect(manifest).toMatchObject({ kind: 'ConfigMap', metadata: { name: 'experts', namespace: 'serving' } });
  expect(Object.keys(JSON.parse(manifest.data['placement.json']).groups)).toEqual(['east-1', 'east-2']);
  const { experts } = parse(readFileSync(file('values.yaml'), 'utf8')).llm;
  expect(experts.groups.map(({ nodeSelector }: { nodeSelector: object }) => nodeSelector)).toEqual([
    { 'kubernetes.io/hostname': 'east-1' },
    { 'kubernetes.io/hostname': 'east-2' },
  ]);

  // What is there already is written as it is: nothing to apply, nothing to commit.
  writeFileSync(file('there.yaml'), planned.stdout);
  const again = await tessera([...plan, '--namespace', 'serving', '--current', file('there.yaml')]);
  expect(again.stdout).toBe(planned.stdout);

  const apply = ['place', 'apply', file('there.yaml'), '--bundle', bundle, '--configmap', 'experts'];
  const epochOf = (stdout: string): number => JSON.parse(parse(stdout).data['placement.json']).epoch;
  const first = await tessera(apply);
  expect(epochOf(first.stdout)).toBe(1);
  writeFileSync(file('counts.json'), JSON.stringify({ layers }));
  await tessera([
    ...plan,
    '--counts',
    file('counts.json'),
    '--skew',
    '0',
    '--current',
    file('there.yaml'),
    '--out',
    file('hot.yaml'),
  ]);
  const other = await tessera([...apply, '--current', file('hot.yaml'), '-o', 'json']);
  expect(epochOf(other.stdout)).toBe(3);
  expect(other.stderr).toContain('kubectl apply');
});

test.each<[what: string, args: () => string[], says: RegExp]>([
  ['too little memory', () => ['plan', '--bundle', bundle, '--nodes', '1Mi'], /48 experts .* room for/],
  ['nodes that are none', () => ['plan', '--bundle', bundle, '--nodes', '2x'], /is not like 2x24Gi/],
  [
    'counts that are not there',
    () => ['plan', '--bundle', bundle, '--nodes', '1Gi', '--counts', '/none'],
    /cannot be read/,
  ],
  [
    'counts of another model',
    () => {
      writeFileSync(file('others.json'), '{"layers":[[1,2]]}');
      return ['plan', '--bundle', bundle, '--nodes', '1Gi', '--counts', file('others.json')];
    },
    /1 layers of 2 experts; the model has 6 layers of 8/,
  ],
  [
    'a placement of another model',
    () => {
      writeFileSync(file('strange.json'), '{"revision":"000000000000","epoch":1,"groups":{}}');
      return ['apply', file('strange.json'), '--bundle', bundle, '--to', file('no.json')];
    },
    /for revision 000000000000/,
  ],
  [
    'a placement with an expert that is not there',
    () => {
      const groups = { a: [{ layers: 'all', experts: 'all' }], b: [{ layers: [2], experts: [8] }] };
      return ['apply', placementFile({ groups }), '--bundle', bundle, '--to', file('no.json')];
    },
    /names expert 8, of 8 that there are, in groups.b/,
  ],
  [
    'a placement that leaves an expert out',
    () => {
      const groups = { a: [{ layers: 'all', experts: [0, 1, 2, 3, 4, 5, 6] }] };
      return ['apply', placementFile({ groups }), '--bundle', bundle, '--to', file('no.json')];
    },
    /leaves 6 experts to nobody, such as expert 7 of layer 0/,
  ],
  [
    'a manifest and a report on one stdout',
    () => ['plan', '--bundle', bundle, '--nodes', '1Gi', '--configmap', 'a', '--json'],
    /--out/,
  ],
  [
    'the namespace of no ConfigMap',
    () => ['plan', '--bundle', bundle, '--nodes', '1Gi', '--namespace', 'a', '--out', file('no.json')],
    /--configmap/,
  ],
  [
    'values for nodes of no cluster',
    () => ['plan', '--bundle', bundle, '--nodes', '1Gi', '--values', '/no'],
    /kubectl get nodes/,
  ],
  [
    'an apply to nowhere',
    () => ['apply', placementFile({ groups: {} }), '--bundle', bundle],
    /--to a file, or --configmap/,
  ],
  [
    'a ConfigMap with a strange name',
    () => ['plan', '--bundle', bundle, '--nodes', '1Gi', '--configmap', 'A_b'],
    /small letters/,
  ],
])('%s: refused with a sentence, and nothing is written', async (_, args, says) => {
  const { status, stderr } = await tessera(['place', ...args()]);
  expect(existsSync(file('no.json'))).toBe(false);
  expect(status).not.toBe(0);
  expect(stderr).toMatch(says);
});

test('a bundle whose experts are not apart is said to need that', async () => {
  const { status, stderr } = await tessera(['place', 'plan', '--bundle', await demoBundleDir(), '--nodes', '1Gi']);
  expect(status).not.toBe(0);
  expect(stderr).toContain('--cut experts');
});
