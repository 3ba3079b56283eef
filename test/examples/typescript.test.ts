import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { samplePath } from '@tessera/testing/demo-model/files';
import { goldenCase, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyUnbuilt } from '../support/clean-checkout.js';
import { type Deployment, deploy } from '../support/deployment.js';

/**
 * The examples in a project that has nothing of Tessera's but the packed client. There is no registry in tests, so what
 * npm would do is done by hand: the package is unpacked, and the packages that its package.json names are linked. It is
 * packed from a checkout that was never built.
 */
let deployment: Deployment;
let project: string;
let packed: { dependencies: Record<string, string>; bundleDependencies: string[] };

const installed = (name: string): string => join(project, 'node_modules', name);

function link(name: string): void {
  mkdirSync(dirname(installed(name)), { recursive: true });
  symlinkSync(join(root, 'node_modules', name), installed(name));
}

async function succeed(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const { status, stdout, stderr } = await runCommand(command, args, { cwd, env });
  expect({ status, stderr, stdout: status === 0 ? '' : stdout }).toEqual({ status: 0, stderr, stdout: '' });
  return stdout;
}

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), 'tessera-project-'));
  const client = copyUnbuilt('client', join(project, 'checkout'));
  // An older build left it behind.
  mkdirSync(join(client, 'dist'));
  writeFileSync(join(client, 'dist/gone.js'), '');
  await succeed('npm', ['pack', '--silent', '--pack-destination', project], client, {
    npm_config_offline: 'true',
    npm_config_cache: join(project, 'npm-cache'),
    npm_config_update_notifier: 'false',
  });
  const [tarball = ''] = readdirSync(project).filter((name) => name.endsWith('.tgz'));
  mkdirSync(installed('@tessera/client'), { recursive: true });
  await succeed('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed('@tessera/client')], project);
  packed = JSON.parse(readFileSync(join(installed('@tessera/client'), 'package.json'), 'utf8'));
  for (const name of Object.keys(packed.dependencies)) if (!packed.bundleDependencies.includes(name)) link(name);

  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const compilerOptions = { target: 'ES2022', module: 'NodeNext', strict: true, types: ['node'], outDir: 'dist' };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  for (const name of ['ask.ts', 'draw.ts']) copyFileSync(join(root, 'examples/typescript', name), join(project, name));
  // The project's own.
  link('@types/node');
  deployment = await deploy();
});
afterAll(async () => {
  await deployment?.stop();
  rmSync(project, { recursive: true, force: true });
});

test('the packed client holds what it needs of Tessera, and its package.json lists the rest', () => {
  expect(readdirSync(join(installed('@tessera/client'), 'node_modules/@tessera')).sort()).toEqual(
    packed.bundleDependencies.map((name) => name.split('/')[1]),
  );
  for (const name of packed.bundleDependencies) {
    const file = join(installed('@tessera/client'), 'node_modules', name, 'package.json');
    const { dependencies = {} } = JSON.parse(readFileSync(file, 'utf8')) as { dependencies?: Record<string, string> };
    expect(packed.dependencies).toMatchObject(dependencies);
  }
  const files = readdirSync(installed('@tessera/client'), { recursive: true, encoding: 'utf8' });
  expect(files.filter((name) => /\.test\.|\.map$|testing|src\//.test(name))).toEqual([]);
  expect(files).toEqual(expect.arrayContaining(['LICENSE', 'dist/index.js', 'dist/index.d.ts']));
  expect(files).not.toContain('dist/gone.js');
});

test('the examples are typed by the packed client, and run with it', async () => {
  await succeed(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], project);
  const env = { TESSERA_ADDRESS: deployment.gateway };

  const apple = samplePath('apple');
  const [words] = (
    await succeed(process.execPath, ['dist/ask.js', apple, goldenCase('apple.0').question], project, env)
  ).split('\n');
  expect(words).toBe(visibleAnswer(goldenCase('apple.0')));

  const request = 'Draw a red apple on a blue background.';
  const told = await succeed(process.execPath, ['dist/draw.js', request, 'apple.png'], project, env);
  const png = readFileSync(join(project, 'apple.png'));
  expect(png.subarray(1, 4).toString()).toBe('PNG');
  expect(told).toContain(`apple.png: image/png, ${png.length} bytes, seed`);
});

test('an example that fails says why and ends with status 1', async () => {
  const env = { TESSERA_ADDRESS: deployment.gateway };
  const end = await runCommand(process.execPath, ['dist/ask.js', 'none.png'], { cwd: project, env });
  expect(end).toMatchObject({ status: 1, stderr: expect.stringContaining('REQUEST_INVALID: none.png cannot be read') });
});
