import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { beforeAll, expect, test } from 'vitest';
import { checks } from './checks/index.js';
import { cases, chartNames, helm, releaseOf, renderCase } from './support/cases.js';
import { isGiven, lasting, named, ofKind, type Release, selects } from './support/manifest.js';
import { serviceContainers } from './support/service-settings.js';
import { plannedQueues, toolCommands, unknownToTools } from './support/tools.js';
import { invalid, mistyped } from './support/typed-manifests.js';

const texts = new Map<string, string>();
const releases = new Map<string, Release>();

beforeAll(async () => {
  for (const each of cases) {
    const text = await renderCase(each);
    texts.set(each.name, text);
    releases.set(each.name, releaseOf(each, text));
  }
});

/** What is found in all cases, each with the case's name before it. */
async function foundIn(look: (release: Release) => string[] | Promise<string[]>): Promise<string[]> {
  const found = await Promise.all(
    [...releases].map(async ([name, release]) => (await look(release)).map((fault) => `${name}: ${fault}`)),
  );
  return found.flat();
}

test('every chart that can be installed has a case, and no two cases one name', () => {
  expect(new Set(cases.map(({ chart }) => chart))).toEqual(
    new Set(chartNames().map((name) => `deploy/charts/${name}`)),
  );
  expect(releases.size).toBe(cases.length);
});

test.each(cases)('helm lints $name without a warning', async ({ chart, values }) => {
  expect(await helm('lint', '--strict', '--values', values, chart)).toMatchObject({ status: 0 });
});

test.each(cases)('$name is rendered the same when it is rendered again', async (each) => {
  expect(await renderCase(each)).toBe(texts.get(each.name));
});

test.each(cases)('two releases of $name in one namespace share no object, and no pods', async (each) => {
  const one = releases.get(each.name) as Release;
  const other = releaseOf(each, await renderCase(each, 'second'));
  // A name that the values give is the same in both; that is what whoever gives it wants.
  const common = one.manifests.filter((own) => other.manifests.some((theirs) => named(theirs) === named(own)));
  expect(common.filter(({ metadata }) => !isGiven(one.values, metadata.name)).map(named)).toEqual([]);
  for (const { selector } of lasting(one)) {
    expect(lasting(other).filter(({ labels }) => selects(selector, labels))).toEqual([]);
  }
});

test('every manifest is valid to the model of its kind', async () => {
  expect(await foundIn(async ({ manifests }) => (await Promise.all(manifests.map(invalid))).flat())).toEqual([]);
});

test('no manifest has a field that its kind has not', async () => {
  expect(await mistyped(new Map([...releases].map(([name, { manifests }]) => [name, manifests])))).toEqual([]);
});

test('every case runs a service, so that the checks of settings have something to look at', async () => {
  expect(await foundIn((release) => (serviceContainers(release).length > 0 ? [] : ['no service']))).toEqual([]);
});

test.each(Object.entries(checks))('%s in every case', async (_, check) => {
  expect(await foundIn(check)).toEqual([]);
});

test('what pods have the tessera command do are commands and flags that it has', async () => {
  const faults: string[] = [];
  // One after the other: each is a process.
  for (const [name, release] of releases) {
    faults.push(...(await unknownToTools(release)).map((fault) => `${name}: ${fault}`));
  }
  expect(faults).toEqual([]);
  const commands = new Set([...releases.values()].flatMap(toolCommands));
  expect(commands).toEqual(new Set(['compile', 'bundle extract', 'streams apply']));
});

test('the Job of the streams makes the consumers that KEDA reads', async () => {
  const read: string[] = [];
  for (const release of releases.values()) {
    const triggers = ofKind<IScaledObject>(release, 'ScaledObject').flatMap(({ spec }) => spec.triggers);
    const asked = triggers.filter(({ type }) => type === 'nats-jetstream').map(({ metadata }) => metadata);
    const queues = asked.length === 0 ? undefined : await plannedQueues(release);
    if (queues === undefined) continue;
    const made = queues.map(({ stream, consumer }) => `${stream} ${consumer}`);
    const names = asked.map(({ stream, consumer }) => `${stream} ${consumer}`);
    expect(made).toEqual(expect.arrayContaining(names));
    read.push(...names);
  }
  expect(read).toContain('tessera_v2_encode_0123456789ab workers');
});
