import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { readClusterNodes } from './cluster-nodes.js';
import { groupValues } from './group-values.js';

interface NodeSpec {
  readonly name: string;
  readonly memory?: string;
  readonly gpus?: number;
  readonly labels?: Record<string, string>;
  readonly spec?: object;
  readonly ready?: string;
}

/** As `kubectl get nodes -o json` writes them. */
const list = (...nodes: NodeSpec[]): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'List',
    items: nodes.map(({ name, memory = '100Gi', gpus = 0, labels = {}, spec = {}, ready = 'True' }) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
      spec,
      status: {
        allocatable: { cpu: '8', memory, pods: '110', ...(gpus > 0 ? { 'nvidia.com/gpu': String(gpus) } : {}) },
        conditions: [{ type: 'Ready', status: ready }],
      },
    })),
  });

const half = { memoryShare: 0.5 };
const gpu = (name: string, gpus: number, more: Partial<NodeSpec> = {}): NodeSpec => ({
  name,
  gpus,
  labels: { 'nvidia.com/gpu.memory': '81920', pool: 'h100' },
  ...more,
});

test('each node is a group of its own, with the share of its memory', () => {
  const { nodes, groups, leftOut } = readClusterNodes(
    list(
      { name: 'ip-10-0-1-2.ec2.internal' },
      { name: 'ip-10-0-1-3.ec2.internal', memory: '1048576Ki' },
      { name: 'cordoned', spec: { unschedulable: true } },
      { name: 'broken', ready: 'Unknown' },
      { name: 'ruler', spec: { taints: [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }] } },
    ),
    half,
  );
  expect(nodes).toEqual([
    { name: 'ip-10-0-1-2', memoryBytes: 50 * 2 ** 30, speed: 1 },
    { name: 'ip-10-0-1-3', memoryBytes: 2 ** 29, speed: 1 },
  ]);
  expect(groups[0]).toEqual({
    name: 'ip-10-0-1-2',
    replicas: 1,
    nodeSelector: { 'kubernetes.io/hostname': 'ip-10-0-1-2.ec2.internal' },
    tolerations: [],
    gpu: false,
    sharesNodes: false,
  });
  expect(leftOut.map(({ name, why }) => `${name}: ${why}`)).toEqual([
    'cordoned: it is cordoned',
    'broken: it is not ready',
    'ruler: it is tainted node-role.kubernetes.io/control-plane',
  ]);
});

test('where there are GPUs each of them is a place, and its taint is tolerated', () => {
  const taints = [{ key: 'nvidia.com/gpu', value: 'present', effect: 'NoSchedule' }];
  const { nodes, groups, leftOut } = readClusterNodes(
    list(gpu('big', 2, { spec: { taints } }), gpu('small', 1), { name: 'cpu' }),
    half,
  );
  expect(nodes.map(({ name }) => name)).toEqual(['big-gpu0', 'big-gpu1', 'small']);
  expect(nodes[0]?.memoryBytes).toBe(40 * 2 ** 30);
  expect(leftOut).toEqual([{ name: 'cpu', why: 'it has no GPU, and others have' }]);
  const values = parse(groupValues(groups, new Map([['big-gpu1', 60e9]]), 'llm'));
  expect(values.experts.groups[1]).toEqual({
    name: 'big-gpu1',
    replicas: 1,
    nodeSelector: { 'kubernetes.io/hostname': 'big' },
    tolerations: [{ key: 'nvidia.com/gpu', operator: 'Equal', value: 'present', effect: 'NoSchedule' }],
    antiAffinity: 'none',
    gpu: { type: 'device', count: 1 },
    model: { sizeBytes: 224 * 2 ** 28 },
  });
});

test('a shard on CPUs asks for its experts and its process, and may hold two placements', () => {
  const { groups } = readClusterNodes(list({ name: 'cold' }), half);
  const values = parse(groupValues(groups, new Map([['cold', 60e9]]), 'tessera'));
  expect(values.llm.experts.groups[0]).toMatchObject({
    resources: { requests: { memory: '57856Mi' }, limits: { memory: '115200Mi' } },
    model: { sizeBytes: 224 * 2 ** 28 },
  });
});

test('nodes of one label are one group, as large as the smallest and as fast as all', () => {
  const labelled = (name: string, pool: string, memory: string): NodeSpec => ({ name, memory, labels: { pool } });
  const { nodes, groups } = readClusterNodes(
    list(labelled('a', 'warm', '10Gi'), labelled('b', 'warm', '8Gi'), labelled('c', 'Hot.Pool', '8Gi')),
    { ...half, groupLabel: 'pool' },
  );
  expect(nodes).toEqual([
    { name: 'warm', memoryBytes: 4 * 2 ** 30, speed: 2 },
    { name: 'hot-pool', memoryBytes: 4 * 2 ** 30, speed: 1 },
  ]);
  expect(groups[0]).toMatchObject({ name: 'warm', replicas: 2, nodeSelector: { pool: 'warm' } });
  expect(groups[1]).toMatchObject({ nodeSelector: { pool: 'Hot.Pool' } });
});

test.each<[what: string, text: string, options: object, says: string]>([
  ['what is not JSON', '{nodes', {}, 'kubectl get nodes -o json'],
  ['what is no list of nodes', '{"kind":"List","items":[{"kind":"Pod"}]}', {}, 'no list of nodes'],
  ['no node that can', list({ name: 'a', ready: 'False' }), {}, 'none of them can run a shard'],
  ['a GPU without its memory', list({ name: 'a', gpus: 1 }), {}, '--gpu-memory'],
  ['a node without the label', list({ name: 'a' }), { groupLabel: 'pool' }, 'a has no label pool'],
  [
    'labels that are one group in small letters',
    list({ name: 'a', labels: { pool: 'x' } }, { name: 'b', labels: { pool: 'X' } }),
    { groupLabel: 'pool' },
    'x is there twice',
  ],
])('%s is refused', (_, text, options, says) => {
  expect(() => readClusterNodes(text, { ...half, ...options })).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(says) }),
  );
});

test('the memory of a GPU can be said', () => {
  const { nodes } = readClusterNodes(list({ name: 'a', gpus: 1 }), { ...half, gpuMemory: '24Gi' });
  expect(nodes).toEqual([{ name: 'a', memoryBytes: 12 * 2 ** 30, speed: 1 }]);
});
