import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import type { IService } from 'kubernetes-models/v1/Service';
import { beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { cases, helm, parseManifests, releaseOf, renderCase } from './support/cases.js';
import { isGiven, lasting, type Manifest, named, ofKind, type Release, selects } from './support/manifest.js';
import { invalid, mistyped } from './support/typed-manifests.js';

/** What stands beside the charts: a NATS, routes, pools, and how others install the charts. */
const folder = join(root, 'deploy/examples/manifests');
const files = readdirSync(folder);
const read = (file: string): Manifest[] => parseManifests(readFileSync(join(folder, file), 'utf8'));
const all = files.flatMap((file) => read(file));

let laptop: Release;
beforeAll(async () => {
  const each = cases.find(({ name }) => name === 'tessera-laptop');
  if (each === undefined) throw new Error('deploy/examples has no tessera-laptop.yaml');
  laptop = releaseOf(each, await renderCase(each));
});

/** Every map in a value, whatever it lies in. */
function maps(value: unknown): Record<string, unknown>[] {
  if (value === null || typeof value !== 'object') return [];
  const inner = Object.values(value).flatMap(maps);
  return Array.isArray(value) ? inner : [value as Record<string, unknown>, ...inner];
}

test("manifests of Kubernetes' own kinds are valid and well typed", async () => {
  const own = all.filter(({ apiVersion }) => /^(v1|apps\/v1)$/.test(apiVersion));
  expect(own.length).toBeGreaterThan(4);
  expect((await Promise.all(own.map(invalid))).flat()).toEqual([]);
  expect(await mistyped(new Map([['manifests', own]]))).toEqual([]);
});

test('routes lead to Services that the charts make, at ports that these have', () => {
  // A second revision is a release of another name.
  const services = ofKind<IService>(laptop, 'Service').flatMap(({ metadata, spec }) =>
    (spec?.ports ?? []).map(({ port }) => `${metadata.name}:${port}`),
  );
  const targets = all
    .flatMap(({ spec }) => maps(spec))
    .flatMap(({ backendRefs }) => (backendRefs ?? []) as { kind?: string; name: string; port: number }[])
    .filter(({ kind = 'Service' }) => kind === 'Service')
    .map(({ name, port }) => `${name.replace(/^tessera-next-/, 'tessera-')}:${port}`);
  expect(targets.length).toBeGreaterThan(0);
  expect(targets.filter((target) => !services.includes(target))).toEqual([]);
});

test('pools and Services over several releases select gateways, at the port that they listen on', () => {
  const selecting = all.filter(({ kind, metadata }) => kind === 'InferencePool' || metadata.name === 'tessera-all');
  expect(selecting.map(named)).toEqual(['InferencePool tessera', 'Service tessera-all']);
  for (const { spec } of selecting) {
    const { selector, targetPorts } = spec as { selector: Record<string, unknown>; targetPorts?: { number: number }[] };
    const matchLabels = (selector.matchLabels ?? selector) as Record<string, string>;
    const found = lasting(laptop).filter(({ labels }) => selects({ matchLabels }, labels));
    expect(found.map(({ name }) => name)).toEqual(['tessera-gateway']);
    const ports = found.flatMap(({ template }) => template.spec?.containers ?? []).flatMap(({ ports = [] }) => ports);
    for (const { number } of targetPorts ?? [])
      expect(ports.map(({ containerPort }) => containerPort)).toContain(number);
  }
});

test('what the laptop needs is what lies beside it: NATS under that name, and the claim of the model', () => {
  const nats: Release = { ...laptop, manifests: read('nats.yaml') };
  const [service] = ofKind<IService>(nats, 'Service');
  const ports = service?.spec?.ports?.map(({ port }) => `${service.metadata.name}:${port}`) ?? [];
  expect(ports).toEqual(['nats:4222', 'nats:8222']);
  expect(isGiven(laptop.values, `nats://${ports[0]}`)).toBe(true);
  expect(isGiven(laptop.values, ports[1] as string)).toBe(true);
  const claim = read('laptop-model.yaml').find(({ kind }) => kind === 'PersistentVolumeClaim');
  expect(isGiven(laptop.values, claim?.metadata.name ?? '')).toBe(true);
  expect(claim?.metadata.namespace).toBe(laptop.namespace);
});

test.each(['argocd-application.yaml', 'flux-helmrelease.yaml'])('the chart takes the values of %s', async (file) => {
  const [values] = read(file)
    .flatMap(({ spec }) => maps(spec))
    .flatMap((each) => each.valuesObject ?? each.values ?? []);
  const json = Object.entries(values as object).flatMap(([key, value]) => [
    '--set-json',
    `${key}=${JSON.stringify(value)}`,
  ]);
  expect(stringify(values)).toContain('nats');
  expect(await helm('template', 'tessera', 'deploy/charts/tessera', ...json)).toMatchObject({ status: 0, stderr: '' });
});
