import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { goldenCase, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { probes } from './support/demo-release.js';
import { kubectl } from './support/kubernetes.js';
import { Namespace } from './support/namespace.js';
import { useNodes } from './support/nodes.js';

let folder: string;
let namespace: Namespace;
beforeAll(async () => {
  await useNodes('real');
  folder = await mkdtemp(join(tmpdir(), 'laptop-'));
  namespace = await Namespace.create('tessera');
});
afterAll(async () => {
  await namespace?.helm(['uninstall', 'tessera', '--wait=false', '--ignore-not-found']);
  // Who drains has no work any more; only the pause before it would be waited for.
  await namespace?.kubectl(['delete', 'pods', '--all', '--grace-period=2']);
  await namespace?.[Symbol.asyncDispose]();
  await kubectl(['delete', 'pv', 'demo-bundle', '--ignore-not-found']);
  await rm(folder, { recursive: true });
});

/** The lines of docs/kubernetes.md by which a laptop comes to an answer. */
async function documented(): Promise<string> {
  const text = await readFile(join(root, 'docs/kubernetes.md'), 'utf8');
  const [, lines] = /## An answer on a laptop\n[^`]*```sh\n(.*?)```/s.exec(text) ?? [];
  if (lines === undefined) throw new Error('docs/kubernetes.md has no lines for a laptop');
  return lines;
}

/** A file of deploy/examples as it is but for what is said, where the lines find it instead. */
async function changed(file: string, change: (text: string) => string): Promise<(lines: string) => string> {
  const before = await readFile(join(root, file), 'utf8');
  const after = change(before);
  expect(after, file).not.toBe(before);
  const copy = join(folder, file.replaceAll('/', '-'));
  await writeFile(copy, after);
  return (lines) => lines.replace(file, copy);
}

test('the lines of docs/kubernetes.md lead to an answer and a drawing, from where the cluster has images and model', async () => {
  const bundle = await demoBundleDir();
  const changes = [
    await changed('deploy/examples/manifests/nats.yaml', (text) =>
      text.replace('nats:2.12-alpine', 'localhost/nats:1'),
    ),
    await changed('deploy/examples/manifests/laptop-model.yaml', (text) => text.replaceAll('/models/demo', bundle)),
    // A laptop has nothing else to do; here all nodes and other programs share the machine.
    await changed('deploy/examples/tessera-laptop.yaml', (text) =>
      text.replaceAll('resources: ', `probes: ${JSON.stringify(probes)}\n  resources: `),
    ),
    (lines: string) => lines.replace('--timeout 10m', '--timeout 25m'),
    // Whoever types has the forwarding by the next line.
    (lines: string) => lines.replace(/&$/m, '&\nuntil (: </dev/tcp/127.0.0.1/7070) 2>/dev/null; do sleep 0.2; done'),
    (lines: string) => lines.replace('--out apple.png', `--out ${join(folder, 'apple.png')}`),
  ];
  const lines = await documented();
  const script = changes.reduce((text, change) => change(text), lines.slice(lines.indexOf('kubectl apply')));
  const { status, stdout, stderr } = await runCommand('bash', ['-ec', `trap 'kill $(jobs -p)' EXIT\n${script}`]);
  expect(status, stderr).toBe(0);
  const golden = goldenCase('apple.0');
  expect(lines).toContain(`tessera ask "${golden.question}"`);
  expect(stdout).toContain(visibleAnswer(golden));
  expect((await sharp(join(folder, 'apple.png')).metadata()).format).toBe('png');
  // As the document has it: the five services, NATS, and the Job that made the streams.
  const pods = (await namespace.pods()).map(({ metadata, status }) => [
    metadata.name.split('-').slice(0, 2).join('-'),
    status?.phase,
  ]);
  const running = ['connector', 'encoder', 'gateway', 'generator', 'llm'].map((stage) => [
    `tessera-${stage}`,
    'Running',
  ]);
  expect(pods.toSorted()).toEqual([
    [expect.stringMatching(/^nats-/), 'Running'],
    ...running,
    ['tessera-streams', 'Succeeded'],
  ]);
});
