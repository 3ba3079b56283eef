import { beforeAll, expect, test } from 'vitest';
import { checks } from './checks/index.js';
import { cases, chartNames, helm, releaseOf, renderCase } from './support/cases.js';
import type { Release } from './support/manifest.js';
import { serviceContainers } from './support/service-settings.js';
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
