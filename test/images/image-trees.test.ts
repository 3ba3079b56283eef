import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChildService, type ServiceName, type ServiceReady, serviceNames } from '@tessera/cli';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { steadyPort } from '@tessera/service';
import { bundleCacheDir, demoModelDir, samplePath } from '@tessera/testing/demo-model/files';
import { goldenCase, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { importsOf, type PackageFile, packageOf } from '../support/imports.js';

/** What deploy/images/assemble.mjs says of a tree. */
interface Tree {
  readonly main: string;
  readonly bytes: number;
  readonly packages: readonly { name: string; version: string; place: string; isOurs: boolean }[];
}

const targets = [...serviceNames, 'tools'] as const;
type Target = (typeof targets)[number];

let folder: string;
const trees = new Map<Target, Tree>();
const at = (target: Target, ...path: string[]): string => join(folder, target, ...path);
const tree = (target: Target): Tree => trees.get(target) as Tree;

/** Puts a tree together as the Dockerfile does. */
async function assemble(target: Target, into: string, env: NodeJS.ProcessEnv = {}): Promise<Tree> {
  const script = join(root, 'deploy/images/assemble.mjs');
  const { status, stdout, stderr } = await runCommand(process.execPath, [script, target, into, '--json'], { env });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as Tree;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tessera-trees-'));
  for (const target of targets) trees.set(target, await assemble(target, at(target)));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const filesOf = async (dir: string): Promise<string[]> =>
  (await readdir(dir, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

const asked = new Map<string, Promise<string[]>>();

/** The packages that a file of ours asks for by name: what it imports, and what it looks up to find a file of. */
function askedBy(target: Target, path: string): Promise<string[]> {
  const before = asked.get(path);
  if (before !== undefined) return before;
  const found = readFile(at(target, path), 'utf8').then((code) => {
    const lookedUp = [...code.matchAll(/\.resolve\('([^'./][^']*)'\)/g)].map(([, specifier]) => specifier as string);
    const imported = importsOf(at(target, path)).map(({ specifier }) => specifier);
    return [...imported, ...lookedUp].flatMap((each) => packageOf(each) ?? []);
  });
  asked.set(path, found);
  return found;
}

test.each(targets)(
  'the tree of the %s has the packages that its own files ask for, and no others of ours',
  async (target) => {
    const ours = tree(target).packages.filter(({ isOurs }) => isOurs);
    const wanted = new Set<string>();
    const listed = new Set<string>();
    for (const { name, place } of ours) {
      const { dependencies, optionalDependencies } = JSON.parse(
        await readFile(at(target, place, 'package.json'), 'utf8'),
      ) as PackageFile;
      for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) listed.add(each);
      for (const path of (await filesOf(at(target, place, 'dist'))).filter((each) => each.endsWith('.js'))) {
        const own = path.slice(at(target).length + 1);
        for (const each of await askedBy(target, own)) if (each !== name) wanted.add(each);
      }
    }
    // The tools start no service.
    const left = target === 'tools' ? serviceNames.map((name) => `@tessera/${name}`) : [];
    for (const name of left) wanted.delete(name);
    expect([...wanted].toSorted()).toEqual([...listed].filter((name) => !left.includes(name)).toSorted());
    const there = new Set(tree(target).packages.map(({ name }) => name));
    expect([...wanted].filter((name) => !there.has(name))).toEqual([]);
    const entry = target === 'tools' ? '@tessera/cli' : `@tessera/${target}`;
    expect(ours.map(({ name }) => name).filter((name) => name !== entry && !wanted.has(name))).toEqual([]);
  },
);

test.each(targets)(
  'the tree of the %s carries no tests, no types and no library that it does not load',
  async (target) => {
    const files = (await filesOf(at(target))).map((path) => path.slice(at(target).length + 1));
    expect(files.filter((path) => /\.test\.js$|\.d\.[cm]?ts$|\.map$|^packages\/testing\//.test(path))).toEqual([]);
    const heavy = (pattern: RegExp): string[] => files.filter((path) => pattern.test(path));
    const computes = ['encoder', 'connector', 'llm', 'generator'].includes(target);
    expect(heavy(/libonnxruntime|onnxruntime\.dll/)).toHaveLength(computes ? 1 : 0);
    expect(heavy(/koffi\.node$/)).toHaveLength(computes ? 1 : 0);
    // Pictures are opened by the gateway, for their size, by the encoder, by the generator, and beside the tools' plans of tiles.
    expect(heavy(/libvips-cpp/)).toHaveLength(['gateway', 'encoder', 'generator', 'tools'].includes(target) ? 1 : 0);
    const { components } = JSON.parse(await readFile(at(target, 'sbom.cdx.json'), 'utf8')) as {
      components: { purl: string }[];
    };
    const packages = tree(target).packages.map(({ name, version }) => `pkg:npm/${name.replace('@', '%40')}@${version}`);
    expect(new Set(components.map(({ purl }) => purl))).toEqual(new Set(packages));
    // With a base image of 250 MB it is below the 400 that docs/images.md promises.
    expect(tree(target).bytes).toBeLessThan(150e6);
  },
);

test('the same sources give the same files at the same time', async () => {
  const env = { SOURCE_DATE_EPOCH: '1700000000' };
  await assemble('connector', at('connector', 'again'), env);
  const { packages } = tree('connector');
  const again = await readdir(at('connector', 'again'), { recursive: true });
  expect(again.length).toBeGreaterThan(packages.length);
  const { stdout } = await runCommand('find', [at('connector', 'again'), '-newermt', '@1700000000']);
  expect(stdout).toBe('');
  await rm(at('connector', 'again'), { recursive: true });
});

test.each([
  ['no target', []],
  ['one that there is not', ['painter', 'x']],
  ['no folder', ['gateway']],
  ['a folder with something in it', ['gateway', root]],
])('%s is refused with a sentence', async (_, args) => {
  const { status, stderr } = await runCommand(process.execPath, ['deploy/images/assemble.mjs', ...args]);
  expect(status).toBe(2);
  expect(stderr).toMatch(/Usage|is not empty/);
});

test('what is in the trees serves, is asked and is healthy, each service with its own part of the model', async () => {
  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    runCommand(process.execPath, [at('tools', tree('tools').main), ...args], { cwd: folder, env });
  const nats: NatsServer = await startNatsServer();
  const started: ChildService[] = [];
  const logs: string[] = [];
  try {
    const bundle = await demoBundleDir();
    const environments = new Map<ServiceName, NodeJS.ProcessEnv>();
    for (const name of serviceNames) {
      const model = join(folder, 'models', name);
      expect(await run(['bundle', 'extract', bundle, '--stage', name, '--out', model])).toMatchObject({ status: 0 });
      environments.set(name, {
        PATH: process.env.PATH,
        TESSERA_MODEL_DIR: model,
        TESSERA_NATS_URL: nats.url,
        TESSERA_METRICS_PORT: String(await steadyPort()),
        ...(name === 'encoder' ? { TESSERA_JOBS_SLOTS: '5' } : {}),
      });
    }
    expect(await run(['streams', 'apply'], environments.get('gateway'))).toMatchObject({ status: 0 });
    const addresses = new Map<ServiceName, ServiceReady>();
    await Promise.all(
      serviceNames.map(async (name) => {
        const main = at(name, tree(name).main);
        const service = new ChildService(name, main, [], (_, line) => logs.push(line), environments.get(name));
        started.push(service);
        addresses.set(name, await service.start());
      }),
    );
    for (const name of serviceNames) {
      const health = await runCommand(process.execPath, [at(name, tree(name).main), 'health'], {
        env: environments.get(name) as NodeJS.ProcessEnv,
      });
      expect(health).toMatchObject({ status: 0, stdout: 'ready\n' });
    }
    const golden = goldenCase('apple.0');
    const picture = samplePath('apple');
    const flags = ['--image', picture, '--temperature', '0', '--address', addresses.get('gateway')?.grpc ?? ''];
    const { stdout } = await run(['ask', golden.question, ...flags]);
    expect(stdout.trim()).toBe(visibleAnswer(golden));
    // A profile is measured by addresses, and needs no more of the model than the gateway's part.
    const measure = ['profile', '--bundle', join(folder, 'models', 'gateway'), '--effort', '0.01', '--cores', '2'];
    const where = [...addresses].flatMap(([name, { grpc, metrics }]) => ['--stage', `${name}=${grpc},${metrics}`]);
    const measured = await run([...measure, ...where, '--no-starts']);
    expect(measured.status, measured.stderr).toBe(0);
    expect(JSON.parse(measured.stdout)).toMatchObject({ encoder: { slots: 5 }, connector: { slots: 32 } });
    // Who asks them for what they leave to the other images is told so.
    expect(await run([...measure, ...where])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--no-starts'),
    });
    const up = await run([
      'up',
      '--model',
      demoModelDir,
      '--cache',
      bundleCacheDir,
      '--nats-url',
      nats.url,
      '--port',
      '0',
    ]);
    expect(up).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/this installation has no \w+, as the image/),
    });
    // It would be where something that the fast way of computing needs was left out.
    expect(logs.filter((line) => line.includes('slower'))).toEqual([]);
  } finally {
    for (const service of started) await service.stop(20_000);
    await nats.stop();
  }
});
