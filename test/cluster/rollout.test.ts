import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@tessera/client';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoRelease } from './support/demo-release.js';
import { GoldenAsker } from './support/golden-asker.js';

/**
 * docs/kubernetes.md, "A new revision of a model": two releases on one NATS, of two revisions that answer alike. Nobody routes
 * by a GRPCRoute here: what the API server says of its weights is held, and the share of a Service over both gateways is seen.
 */
let first: DemoRelease;
let second: DemoRelease;
let ofFirst: GoldenAsker;
let ofSecond: GoldenAsker | undefined;
beforeAll(async () => {
  first = await DemoRelease.install('rollout', { laterCuts: ['experts'] });
  ofFirst = await GoldenAsker.create(first.gateway);
});
afterAll(async () => {
  ofFirst?.[Symbol.dispose]();
  ofSecond?.[Symbol.dispose]();
  await second?.[Symbol.asyncDispose]();
  await first?.[Symbol.asyncDispose]();
});

/** Installs the second release as the first one's callers ask on, and holds its answers to the goldens. */
async function installSecond(): Promise<void> {
  const wrong = await ofFirst.whileAsked(async () => {
    second = await first.beside('tessera-next', { cut: 'experts' });
  });
  expect(wrong).toEqual([]);
  ofSecond?.[Symbol.dispose]();
  ofSecond = await GoldenAsker.create(second.gateway);
  for (const golden of goldenCases) expect(await ofSecond.ask(golden)).toBeUndefined();
}

/** Does it while both releases are asked. @returns what was wrong with their answers */
async function whileBothAreAsked(disturb: () => Promise<void>): Promise<readonly string[]> {
  let wrongOfSecond: readonly string[] | undefined;
  const wrong = await ofFirst.whileAsked(async () => {
    wrongOfSecond = await ofSecond?.whileAsked(disturb);
  });
  return [...wrong, ...(wrongOfSecond ?? ['the second was not asked'])];
}

/** The revisions that so many callers come to, each by a connection of its own. */
async function revisionsAt(address: string, callers: number): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let caller = 0; caller < callers; caller++) {
    using client = connect(address);
    seen.add((await client.describe()).model.revision);
  }
  return seen;
}

function example(name: string): string {
  const manifest = readFileSync(join(root, 'deploy/examples/manifests', name), 'utf8');
  return manifest.replaceAll('namespace: tessera', `namespace: ${first.namespace.name}`);
}

const revision = ({ bundle }: DemoRelease): string => bundle.manifest.revision;

test('a second release of another revision comes while the first one answers on; each answers rightly as itself', async () => {
  await installSecond();
  expect(revision(second)).not.toBe(revision(first));
  expect(await revisionsAt(first.gateway, 5)).toEqual(new Set([revision(first)]));
  expect(await revisionsAt(second.gateway, 5)).toEqual(new Set([revision(second)]));
});

test('the route to both is taken with each of its weights, and one that is below zero is refused', async () => {
  const route = example('two-revisions.yaml');
  const weighed = (old: number, next: number): string =>
    route.replace('weight: 95', `weight: ${old}`).replace('weight: 5', `weight: ${next}`);
  for (const [old, next] of [
    [95, 5],
    [0, 100],
    [100, 0],
  ] as const) {
    await first.namespace.kubectl(['apply', '--validate=strict', '-f', '-'], weighed(old, next));
    const path = '{.spec.rules[1].backendRefs[*].weight}';
    expect(await first.namespace.kubectl(['get', 'grpcroute', 'tessera', `--output=jsonpath=${path}`])).toBe(
      `${old} ${next}`,
    );
  }
  await expect(first.namespace.apply(weighed(-1, 100))).rejects.toThrow(/weight.*greater than or equal to 0/);
});

test('a Service over both: callers come to both revisions, and to the first alone when the second has no gateway', async () => {
  await first.namespace.apply(example('two-revisions-service.yaml'));
  const address = `tessera-all.${first.namespace.name}.svc.cluster.local:7000`;
  const both = new Set([revision(first), revision(second)]);
  await expect.poll(() => revisionsAt(address, 40)).toEqual(both);
  const scale = (replicas: number) =>
    first.namespace.kubectl(['scale', 'deployment/tessera-next-gateway', `--replicas=${replicas}`]);
  await scale(0);
  await expect.poll(() => revisionsAt(address, 40)).toEqual(new Set([revision(first)]));
  await scale(1);
  await expect.poll(() => revisionsAt(address, 40)).toEqual(both);
});

test('the second is upgraded, and goes: what either was asked is answered rightly', async () => {
  const change = { podAnnotations: { 'tests/revision': 'two' } };
  const values = { encoder: change, connector: change, llm: change, generator: change, gateway: change };
  expect(await whileBothAreAsked(() => second.upgrade(values))).toEqual([]);
  expect(await ofFirst.whileAsked(() => second.uninstall())).toEqual([]);
});

test('the second comes again and the first goes: the second answers on', async () => {
  await installSecond();
  expect(await ofSecond?.whileAsked(() => first.uninstall())).toEqual([]);
  expect(await revisionsAt(second.gateway, 5)).toEqual(new Set([revision(second)]));
});
