import { parseModelId } from '@tessera/hub';
import type { IContainer } from 'kubernetes-models/v1/Container';
import { expect, test } from 'vitest';
import { edgesAreTheArchitectures } from './checks/network.js';
import { cases, helm, parseManifests, releaseOf, renderCase } from './support/cases.js';
import { type Manifest, ofKind, type Release, workloads } from './support/manifest.js';

const commit = '0123456789abcdef0123456789abcdef01234567';

/** The encoder's chart with a model that is pulled. */
function render(pull: object) {
  const source = JSON.stringify({ pvc: null, pull: { id: 'acme/small', revision: commit, ...pull } });
  const values = ['--values', 'test/charts/cases/encoder-minimal.yaml', '--set-json', `model.source=${source}`];
  return helm('template', 'tessera', 'deploy/charts/encoder', ...values);
}

async function pullContainer(pull: object): Promise<IContainer> {
  const { status, stdout, stderr } = await render(pull);
  expect(status, stderr).toBe(0);
  const manifests = parseManifests(stdout);
  const found = workloads({ name: 'tessera', namespace: 'tessera', manifests, values: {} })
    .flatMap(({ template }) => template.spec?.initContainers ?? [])
    .find(({ name }) => name === 'pull');
  if (found === undefined) throw new Error('no container pulls');
  return found;
}

async function pullCase(): Promise<Release> {
  const each = cases.find(({ name }) => name === 'connector-pull');
  if (each === undefined) throw new Error('there is no case connector-pull');
  return releaseOf(each, await renderCase(each));
}

test.each([
  [{}, 'int8'],
  [{ file: 'Q4_0' }, 'auto'],
  [{ file: 'Q4_0', weights: 'int8' }, 'int8'],
  [{ weights: 'auto' }, 'auto'],
])('of %j the weights are %s', async (pull, weights) => {
  const { args = [] } = await pullContainer(pull);
  expect(args[args.indexOf('--weights') + 1]).toBe(weights);
});

test('a cache of float16 is asked for where it is set, and nothing is said else', async () => {
  expect((await pullContainer({})).args).not.toContain('--kv-cache');
  const { args = [] } = await pullContainer({ kvCache: 'float16' });
  expect(args[args.indexOf('--kv-cache') + 1]).toBe('float16');
});

test('the container that pulls has the variables and volumes that are added to it', async () => {
  const own = await pullContainer({});
  const extraEnv = [{ name: 'NODE_EXTRA_CA_CERTS', value: '/etc/hub-ca/ca.crt' }];
  const extraVolumeMounts = [{ name: 'hub-ca', mountPath: '/etc/hub-ca', readOnly: true }];
  const more = await pullContainer({ extraEnv, extraVolumeMounts });
  expect(more.env).toEqual([...(own.env ?? []), ...extraEnv]);
  expect(more.volumeMounts).toEqual([...(own.volumeMounts ?? []), ...extraVolumeMounts]);
});

test('a policy lets a pod out to the port of its hub, and the check of it sees where it does not', async () => {
  const release = await pullCase();
  expect(edgesAreTheArchitectures(release)).toEqual([]);
  const [policy] = ofKind<{ spec: { egress: { ports: { port: number }[] }[] } }>(release, 'NetworkPolicy');
  const rule = policy?.spec.egress.find(({ ports }) => ports.some(({ port }) => port === 8443));
  expect(rule?.ports.map(({ port }) => port)).toEqual([8443, 443]);
  const egress = policy?.spec.egress.filter((each) => each !== rule);
  const shut = { ...policy, spec: { ...policy?.spec, egress } } as unknown as Manifest;
  const manifests = release.manifests.map((each) => (each === (policy as unknown) ? shut : each));
  expect(edgesAreTheArchitectures({ ...release, manifests })).toEqual(
    [443, 8443].map((port) =>
      expect.stringContaining(`connector may not call an address outside the cluster at ${port}`),
    ),
  );
});

const longest = 'a'.repeat(96);

test.each([
  'gpt2',
  'acme/small-1.5_b',
  `${longest}/${longest}`,
  `acme/${longest}a`,
  'acme/small--b',
  'acme--small',
  'acme/a..b',
  'acme/-small',
  'acme/small.',
  './acme',
  'acme/small/more',
  'acme/small@v1',
])('the chart takes the id %s where the command does', async (id) => {
  const { status, stderr } = await render({ id });
  expect(status === 0, stderr).toBe(parseModelId(id)?.repository === id);
});
