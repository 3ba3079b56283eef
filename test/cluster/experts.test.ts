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

const all = [{ layers: 'all', experts: 'all' }];

/** The chart's value for a placement: both groups hold all, engines some. */
function placement(given: { epoch: number; revision?: string; engine?: readonly object[] }): object {
  return { content: JSON.stringify({ revision, engine: [], groups: { first: all, second: all }, ...given }) };
}

let revision: string;
let release: DemoRelease;
let asker: GoldenAsker;
beforeAll(async () => {
  for (const node of gpuNodes) {
    const patch = [{ op: 'add', path: `/status/capacity/${gpu.replace('/', '~1')}`, value: '1' }];
    await kubectl(['patch', 'node', node, '--subresource=status', '--type=json', `--patch=${JSON.stringify(patch)}`]);
    await kubectl(['taint', 'node', node, `${gpu}=present:NoSchedule`, '--overwrite']);
  }
  revision = (await readBundle(await demoBundleDir('float32', 'experts'), [])).manifest.revision;
  const onGpu = { limits: { [gpu]: 1 } };
  const tolerations = [{ key: gpu, operator: 'Exists', effect: 'NoSchedule' }];
  const group = { resources: onGpu, tolerations };
  release = await DemoRelease.install('experts', {
    cut: 'experts',
    values: {
      llm: {
        experts: {
          placement: placement({ epoch: 1 }),
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

test('a later placement is taken up without a restart; an earlier one, and one of another revision, helm refuses', async () => {
  const upgrade = (given: Parameters<typeof placement>[0]) =>
    release.upgrade({ llm: { experts: { placement: placement(given) } } });
  const uids = async () => (await release.pods('experts')).map(({ metadata }) => metadata.uid).sort();
  const before = await uids();
  // One expert of each layer in the engine, too: it asks no shard for that one any more.
  await upgrade({ epoch: 2, engine: [{ layers: 'all', experts: [0] }] });
  const taken = async (): Promise<number> => {
    const logs = await release.namespace.kubectl([
      'logs',
      '--selector=app.kubernetes.io/component=experts',
      '--tail=-1',
    ]);
    return logs.split('\n').filter((line) => /"event":"placement"/.test(line) && /"epoch":2\b/.test(line)).length;
  };
  await expect.poll(taken).toBe(before.length);
  for (const golden of goldenCases) expect(await asker.ask(golden)).toBeUndefined();

  await expect(upgrade({ epoch: 1 })).rejects.toThrow(
    'experts.placement.content has epoch 1, and the cluster has another placement of epoch 2',
  );
  await expect(upgrade({ epoch: 3, revision: '000000000000' })).rejects.toThrow(
    `experts.placement.content is for revision 000000000000 of the model, and model.revision is ${revision}`,
  );
  const data = '--output=jsonpath={.data.placement\\.json}';
  const kept = await release.namespace.kubectl(['get', 'configmap', 'tessera-llm-placement', data]);
  expect(JSON.parse(kept)).toMatchObject({ revision, epoch: 2 });
  expect(await uids()).toEqual(before);
  for (const golden of goldenCases) expect(await asker.ask(golden)).toBeUndefined();
});

test('a node is taken away while questions are asked: none is lost, and no answer is wrong', async () => {
  const [node] = gpuNodes.slice(-1) as [string];
  const wrong = await asker.whileAsked(async () => {
    await kubectl(['drain', node, '--delete-emptydir-data', '--ignore-daemonsets', '--timeout=600s']);
    await kubectl(['delete', 'node', node]);
  });
  expect(wrong).toEqual([]);
  // Its shard waits for a node that has what it asks for: there is no other.
  await expect
    .poll(async () => (await release.pods('experts')).map(({ spec }) => spec?.nodeName ?? 'none').sort())
    .toEqual(['none', gpuNodes[0]]);
  for (const golden of goldenCases) expect(await asker.ask(golden)).toBeUndefined();
});
