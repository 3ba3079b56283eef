import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoRelease } from './support/demo-release.js';
import { GoldenAsker } from './support/golden-asker.js';
import { kubectl, objects } from './support/kubernetes.js';
import { lowerLimit } from './support/memory.js';

/** The pods of each stage, and how many: two where callers are served, one where jobs wait for who comes after it. */
const pods = { encoder: 'encoder', connector: 'connector', llm: 'engine', generator: 'generator', gateway: 'gateway' };
const components = Object.values(pods);
const replicas: Readonly<Record<string, number>> = { encoder: 1, connector: 1, engine: 2, generator: 1, gateway: 2 };

let release: DemoRelease;
let asker: GoldenAsker;
beforeAll(async () => {
  const values = Object.fromEntries(
    Object.entries(pods).map(([stage, component]) => [stage, { replicas: replicas[component] }]),
  );
  release = await DemoRelease.install('disruptions', { values });
  asker = await GoldenAsker.create(release.gateway);
});
afterAll(async () => {
  asker?.[Symbol.dispose]();
  await release?.[Symbol.asyncDispose]();
});

async function uids(): Promise<Set<string>> {
  const all = await Promise.all(components.map((component) => release.pods(component)));
  return new Set(all.flat().map(({ metadata }) => metadata.uid));
}

async function everybodyIsReady(): Promise<void> {
  for (const component of components) {
    await expect
      .poll(async () => (await release.readyPods(component)).length, { message: component })
      .toBe(replicas[component]);
  }
}

test('a rolling upgrade of every stage: no request is lost, and no answer is wrong', async () => {
  const before = await uids();
  const change = { podAnnotations: { 'tests/revision': 'two' } };
  const values = Object.fromEntries(Object.keys(pods).map((stage) => [stage, change]));
  expect(await asker.whileAsked(() => release.upgrade(values))).toEqual([]);
  for (const uid of await uids()) expect(before.has(uid)).toBe(false);
});

test('kubectl drain of a node: no request is lost, and no answer is wrong', async () => {
  const node = 'real-1';
  const selector = 'app.kubernetes.io/part-of=tessera';
  const onNode = async (): Promise<number> =>
    (await release.namespace.pods(selector)).filter(({ spec }) => spec?.nodeName === node).length;
  expect(await onNode()).toBeGreaterThan(0);
  const drain = ['drain', node, '--delete-emptydir-data', '--ignore-daemonsets', '--timeout=600s'];
  try {
    const wrong = await asker.whileAsked(async () => {
      await kubectl([...drain, `--pod-selector=${selector}`]);
    });
    expect(wrong).toEqual([]);
    expect(await onNode()).toBe(0);
  } finally {
    await kubectl(['uncordon', node]);
  }
  await everybodyIsReady();
});

test.each(components)('a pod of the %s is evicted: no request is lost, and no answer is wrong', async (component) => {
  const [pod] = await release.readyPods(component);
  const { name, uid } = pod?.metadata ?? { name: '', uid: '' };
  const path = `/api/v1/namespaces/${release.namespace.name}/pods/${name}/eviction`;
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: release.namespace.name } };
  const wrong = await asker.whileAsked(async () => {
    await kubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(eviction));
    await expect
      .poll(async () =>
        (await objects('pods', '-n', release.namespace.name)).some(({ metadata }) => metadata.uid === uid),
      )
      .toBe(false);
  });
  expect(wrong).toEqual([]);
  await everybodyIsReady();
});

test.each(components)(
  'the kernel kills a %s for its memory: it comes back, and the answers are right',
  async (component) => {
    const [pod] = await release.readyPods(component);
    const restarts = async () => {
      const found = (await release.pods(component)).find(({ metadata }) => metadata.uid === pod?.metadata.uid);
      return found?.status?.containerStatuses?.[0];
    };
    const wrong = await asker.whileAsked(async () => {
      await expect
        .poll(async () => {
          const status = await restarts();
          if (status?.restartCount === 0 && pod !== undefined) await lowerLimit(pod);
          return status?.lastState?.terminated?.reason;
        })
        .toBe('OOMKilled');
    });
    // Who was connected to a gateway that is killed is told so: its requests are not resumed.
    const unexplained = wrong.filter((line) => component !== 'gateway' || !/UNAVAILABLE/.test(line));
    expect(unexplained).toEqual([]);
    await everybodyIsReady();
    for (const golden of goldenCases) expect(await asker.ask(golden)).toBeUndefined();
  },
);
