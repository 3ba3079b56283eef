import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoRelease } from './support/demo-release.js';
import { GoldenAsker } from './support/golden-asker.js';
import { kubectl } from './support/kubernetes.js';

/** Nodes that have GPUs as far as the scheduler knows; what is computed there is computed by the CPU. */
const gpuNodes = ['real-gpu-0', 'real-gpu-1'];
const gpu = 'nvidia.com/gpu';

let release: DemoRelease;
let asker: GoldenAsker;
beforeAll(async () => {
  for (const node of gpuNodes) {
    const patch = [{ op: 'add', path: `/status/capacity/${gpu.replace('/', '~1')}`, value: '1' }];
    await kubectl(['patch', 'node', node, '--subresource=status', '--type=json', `--patch=${JSON.stringify(patch)}`]);
    await kubectl(['taint', 'node', node, `${gpu}=present:NoSchedule`, '--overwrite']);
  }
  const { revision } = (await readBundle(await demoBundleDir('float32', 'experts'), [])).manifest;
  const all = [{ layers: 'all', experts: 'all' }];
  const onGpu = { limits: { [gpu]: 1 } };
  const tolerations = [{ key: gpu, operator: 'Exists', effect: 'NoSchedule' }];
  const group = { resources: onGpu, tolerations };
  const placement = { revision, epoch: 1, engine: [], groups: { first: all, second: all } };
  release = await DemoRelease.install('experts', {
    cut: 'experts',
    values: {
      llm: {
        experts: {
          placement: { content: JSON.stringify(placement) },
          groups: [
            { name: 'first', ...group },
            { name: 'second', ...group },
          ],
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

test('each group of the placement has a GPU node, and the answers are those of the whole model', async () => {
  const shards = await release.readyPods('experts');
  expect(shards.map(({ spec }) => spec?.nodeName).sort()).toEqual(gpuNodes);
  const [engine] = await release.readyPods('engine');
  expect(gpuNodes).not.toContain(engine?.spec?.nodeName);
  for (const golden of goldenCases) expect(await asker.ask(golden)).toBeUndefined();
  expect(await release.metric('experts', 'tessera_expert_shard_rows_total')).toBeGreaterThan(0);
});

test('a node is taken away while questions are asked: none is lost, and no answer is wrong', async () => {
  const [node] = gpuNodes.slice(-1) as [string];
  const load = asker.startLoad(2);
  const more = async (): Promise<void> => {
    const before = load.answers();
    await expect.poll(() => load.answers()).toBeGreaterThan(before + 4);
  };
  await more();
  await kubectl(['drain', node, '--delete-emptydir-data', '--ignore-daemonsets', '--timeout=600s']);
  await kubectl(['delete', 'node', node]);
  await more();
  expect((await load.stop()).wrong).toEqual([]);
  // Its shard waits for a node that has what it asks for: there is no other.
  await expect
    .poll(async () => (await release.pods('experts')).map(({ spec }) => spec?.nodeName ?? 'none').sort())
    .toEqual(['none', gpuNodes[0]]);
  for (const golden of goldenCases) expect(await asker.ask(golden)).toBeUndefined();
});
