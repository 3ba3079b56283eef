import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { runCommand } from '@tessera/testing/processes/run-command';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cases, releaseOf, renderCase } from './support/cases.js';
import { containers, ofKind, type PlacedContainer, type Release } from './support/manifest.js';
import { surroundingsOf } from './support/service-settings.js';

const releases: [string, Release][] = [];
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-chart-tools-'));
  for (const each of cases) releases.push([each.name, releaseOf(each, await renderCase(each))]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tessera = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runCommand(process.execPath, ['packages/cli/dist/main.js', ...args], { env });

/** The containers that run the `tessera` command. */
const tools = (release: Release): PlacedContainer[] =>
  containers(release).filter(({ container }) => /(^|\/)tessera-tools[:@]/.test(container.image ?? ''));

test('what pods have the tessera command do are commands and flags that it has', async () => {
  const helps = new Map<string, string>();
  const unknown: string[] = [];
  for (const [name, release] of releases) {
    for (const { container, where } of tools(release)) {
      const args = container.args ?? [];
      const words = args.slice(0, args.findIndex((each) => /^[-/]/.test(each)) >>> 0);
      const command = words.join(' ');
      if (!helps.has(command)) {
        const { status, stdout } = await tessera([...words, '--help']);
        helps.set(command, status === 0 ? stdout : '');
      }
      const help = helps.get(command) ?? '';
      if (!help.includes(`tessera ${command}`)) unknown.push(`${name}: ${where}: tessera ${command}`);
      for (const flag of args.filter((each) => each.startsWith('--'))) {
        if (!help.includes(`${flag} `)) unknown.push(`${name}: ${where}: tessera ${command} ${flag}`);
      }
    }
  }
  expect(unknown).toEqual([]);
  expect([...helps.keys()]).toEqual(expect.arrayContaining(['compile', 'bundle extract', 'streams apply']));
});

interface Plan {
  readonly queues: readonly { readonly stream: string; readonly consumer: string }[];
}

/** What a Job of the streams would make, by its own settings. */
async function planOf(release: Release, job: PlacedContainer): Promise<Plan> {
  const { env, file } = surroundingsOf(release, job);
  const config = join(folder, 'config.yaml');
  writeFileSync(config, file ?? '');
  const [, , ...flags] = job.container.args ?? [];
  const { status, stdout, stderr } = await tessera(['streams', 'plan', '--json', ...flags], {
    ...env,
    TESSERA_CONFIG: config,
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

test('the Job of the streams makes the consumers that KEDA reads', async () => {
  let read = 0;
  for (const [name, release] of releases) {
    const [job] = tools(release).filter(({ container }) => container.args?.includes('--revision'));
    if (job === undefined) continue;
    const { queues } = await planOf(release, job);
    const made = queues.map(({ stream, consumer }) => `${stream} ${consumer}`);
    for (const scaled of ofKind<IScaledObject>(release, 'ScaledObject')) {
      for (const { type, metadata } of scaled.spec.triggers) {
        if (type !== 'nats-jetstream') continue;
        expect([name, made]).toEqual([name, expect.arrayContaining([`${metadata.stream} ${metadata.consumer}`])]);
        read++;
      }
    }
  }
  expect(read).toBeGreaterThan(0);
});
