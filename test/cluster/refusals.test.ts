import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chart, type stages } from './support/charts.js';
import { small } from './support/demo-release.js';
import { modelClaim } from './support/model.js';
import { Namespace } from './support/namespace.js';
import { installNats, natsUser } from './support/nats.js';
import { useNodes } from './support/nodes.js';

/** What helm cannot know and only a pod finds out: it ends, and its status says why, as `kubectl describe pod` shows it. */
let namespace: Namespace;
let claim: AsyncDisposable;
let shared: object;
beforeAll(async () => {
  await useNodes('real');
  const bundle = await readBundle(await demoBundleDir('float32', 'experts'), []);
  const { revision } = bundle.manifest;
  namespace = await Namespace.create('refusals');
  claim = await modelClaim(namespace, bundle.dir);
  await installNats(namespace, [revision]);
  shared = { resources: small, model: { revision, source: { pvc: { claimName: 'model' } } } };
});
afterAll(async () => {
  await claim?.[Symbol.asyncDispose]();
  await namespace?.[Symbol.asyncDispose]();
});

const nats = { url: 'nats://nats.refusals.svc:4222' };

/** What the last container to end of a release's pods left in its pod's status. */
async function lastWords(release: string): Promise<string> {
  const pods = await namespace.pods(`app.kubernetes.io/instance=${release}`);
  const statuses = pods.flatMap(({ status }) => status?.containerStatuses ?? []);
  return statuses.map(({ state, lastState }) => (state?.terminated ?? lastState?.terminated)?.message ?? '').join('\n');
}

async function install(release: string, stage: (typeof stages)[number], values: object): Promise<void> {
  const all = JSON.stringify({ ...shared, ...values });
  await namespace.helm(['install', release, chart(stage), '--values', '-'], all);
}

test('streams that NATS has no memory for', async () => {
  const config = { nats: { uploadsBytes: 2 ** 40 } };
  await install('large', 'gateway', { nats: { ...nats, ...natsUser('gateway') }, config });
  await expect.poll(() => lastWords('large')).toMatch(/refuses stream .*; all streams together need \d+ bytes: raise/);
});

test('a password that NATS does not take', async () => {
  await namespace.kubectl(['create', 'secret', 'generic', 'stranger', '--from-literal=password=guessed']);
  const stranger = { ...natsUser('encoder'), existingSecret: 'stranger' };
  await install('stranger', 'encoder', { nats: { ...nats, ...stranger } });
  await expect
    .poll(() => lastWords('stranger'))
    .toContain('does not let this service in (Authorization Violation); see its user');
});

test('a placement of another revision, of engines and of shards', async () => {
  const groups = { all: [{ layers: 'all', experts: 'all' }] };
  const placement = JSON.stringify({ revision: '000000000000', epoch: 1, engine: [], groups });
  await namespace.kubectl(['create', 'configmap', 'other', `--from-literal=placement.json=${placement}`]);
  const experts = {
    placement: { configMap: 'other' },
    checkCluster: false,
    groups: [{ name: 'all', resources: small }],
  };
  await install('other', 'llm', { nats: { ...nats, ...natsUser('llm') }, experts });
  const said = async () =>
    [...(await lastWords('other')).matchAll(/is for revision 000000000000 of the model/g)].length;
  await expect.poll(said).toBeGreaterThanOrEqual(2);
});
