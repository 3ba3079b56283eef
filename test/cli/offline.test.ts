import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tessera } from '../support/tessera.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-cli-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('--help names every command and the exit statuses', async () => {
  const { status, stdout } = await tessera(['--help']);
  expect(status).toBe(0);
  for (const word of ['up', 'ask', 'draw', 'inspect', 'pull', 'compile', 'place', 'bundle', 'streams', 'Exit status'])
    expect(stdout).toContain(word);
});

test.each(['up', 'ask', 'draw', 'inspect', 'pull', 'compile', 'place', 'bundle', 'streams'])(
  '%s --help says what it takes',
  async (name) => {
    const { status, stdout } = await tessera([name, '--help']);
    expect(status).toBe(0);
    expect(stdout).toContain(`Usage: tessera ${name}`);
  },
);

test.each([
  ['an unknown command', ['fly']],
  ['an unknown option', ['ask', 'x', '--fly']],
  ['a number out of range', ['ask', 'x', '--max-tokens', '0']],
  ['no choice', ['ask', 'x', '--choices', '0']],
  ['a seed that is none', ['ask', 'x', '--seed', 'many']],
  ['a bias without a number', ['ask', 'x', '--logit-bias', '7']],
  ['a token that is none', ['ask', 'x', '--stop-token', '-1']],
  ['a schema that is not there', ['ask', 'x', '--schema', 'not-there.json']],
  ['two forms of an answer', ['ask', 'x', '--json-object', '--regex', 'a']],
  ['a missing option', ['draw', 'x']],
  ['a file that is not there', ['ask', 'x', '--image', 'not-there.png']],
])('%s ends with status 2 and a sentence', async (_, args) => {
  const { status, stdout, stderr } = await tessera(args);
  expect(status).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toMatch(/unknown|invalid|not specified|cannot be read|exclude each other/);
});

test.each([
  ['ask', []],
  ['draw', ['--out', 'out.png']],
])('%s without a server ends with status 3 and says how to start one', async (command, args) => {
  const out = args.map((arg) => (arg === 'out.png' ? join(folder, arg) : arg));
  const { status, stdout, stderr } = await tessera([command, 'x', '--address', '127.0.0.1:1', ...out]);
  expect(status).toBe(3);
  expect(stdout).toBe('');
  expect(stderr).toContain('no server can be reached at 127.0.0.1:1');
  expect(stderr).toContain('tessera up');
  expect(stderr).toContain('TESSERA_ADDRESS');
  expect(readdirSync(folder)).not.toContain('out.png');
});

test.each([
  ['a folder that is not there', 'nowhere/apple.png'],
  ['a folder in the place of the file', '.'],
])('draw --out with %s is refused before anything is asked', async (_, path) => {
  // No server is there, and none is looked for.
  const args = ['draw', 'x', '--address', '127.0.0.1:1', '--out', join(folder, path)];
  const { status, stderr } = await tessera(args);
  expect(status).toBe(2);
  expect(stderr).toContain(`${join(folder, path)} cannot be written`);
});

test('the check of --out leaves a file that is there as it is', async () => {
  const out = join(folder, 'kept.png');
  writeFileSync(out, 'kept');
  expect((await tessera(['draw', 'x', '--address', '127.0.0.1:1', '--out', out])).status).toBe(3);
  expect(readFileSync(out, 'utf8')).toBe('kept');
});

test('inspect shows the parameters of each stage of the demo model', async () => {
  const { status, stdout } = await tessera(['inspect', demoModelDir]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/encoder +2\.79 M/);
  expect(stdout).toMatch(/connector +330\.24 K/);
  expect(stdout).toMatch(/llm +8\.80 M/);
  expect(stdout).toMatch(/generator +7\.08 M/);
});

test('inspect counts Qwen-VL from its config.json alone: a fifth, under one per cent, four fifths', async () => {
  const { status, stdout, stderr } = await tessera(['inspect', join(root, 'packages/compiler/fixtures/qwen-vl')]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/encoder +1\.84 B +19\.1 %/);
  expect(stdout).toMatch(/connector +92\.84 M +0\.96 %/);
  expect(stdout).toMatch(/llm +7\.72 B +80\.0 %/);
  expect(stderr).toContain('config.json alone');
});

test('inspect --json gives the same for programs', async () => {
  const { status, stdout } = await tessera(['inspect', demoModelDir, '--json']);
  expect(status).toBe(0);
  const report = JSON.parse(stdout) as { parameters: number; stages: { parameters: number; share: number }[] };
  expect(report.stages.reduce((sum, { parameters }) => sum + parameters, 0)).toBe(report.parameters);
  expect(report.stages.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
});

test('inspect of a folder without a model says so', async () => {
  const { status, stderr } = await tessera(['inspect', folder]);
  expect(status).toBe(1);
  expect(stderr).toContain('config.json');
});

test.each(['float32', 'float16', 'int8', 'int4-g128-zp'])(
  'compile writes a %s bundle, and refuses to write over it',
  async (weights) => {
    const out = join(folder, weights);
    const first = await tessera(['compile', demoModelDir, '--out', out, '--weights', weights, '--json']);
    expect(first.status).toBe(0);
    expect(JSON.parse(first.stdout)).toEqual({ bundle: out, weights });
    const bundle = await readBundle(out);
    expect(bundle.manifest.weights).toBe(weights);
    await bundle.verify();
    const manifest = readFileSync(join(out, 'bundle.json'), 'utf8');
    const second = await tessera(['compile', demoModelDir, '--out', out, '--weights', weights]);
    expect(second.status).toBe(2);
    expect(second.stderr).toContain(out);
    expect(readFileSync(join(out, 'bundle.json'), 'utf8')).toBe(manifest);
  },
);

test('compile --keep leaves the bundle that is there, and refuses one of other weights, another cut, another cache or other contents', async () => {
  const out = join(folder, 'kept');
  const checkpoint = join(folder, 'checkpoint');
  cpSync(demoModelDir, checkpoint, { recursive: true });
  const compile = (weights: string, ...more: string[]) =>
    tessera(['compile', checkpoint, '--out', out, '--weights', weights, '--keep', '--json', ...more]);
  expect((await compile('int8')).status).toBe(0);
  const written = statSync(join(out, 'bundle.json'));
  const second = await compile('int8');
  expect(JSON.parse(second.stdout)).toEqual({ bundle: out, weights: 'int8', kept: true });
  expect(statSync(join(out, 'bundle.json')).ino).toBe(written.ino);
  const other = await compile('int4');
  expect(other.status).toBe(2);
  expect(other.stderr).toContain('has a bundle of weights int8, not int4');
  expect((await compile('auto')).stderr).toContain('has a bundle of weights int8, not float32');
  expect((await compile('int8', '--cut', 'layers=2')).stderr).toContain('made without --cut, not with --cut layers=2');
  expect((await compile('int8', '--kv-cache', 'float16')).stderr).toContain('whose KV cache is float32, not float16');
  // Its digests are remembered, and believed: with those of another file it is another model's.
  const memo = join(out, 'checkpoint-digests.json');
  const digests = readFileSync(memo, 'utf8');
  writeFileSync(memo, digests.replaceAll(/"sha256":"[0-9a-f]{64}"/g, `"sha256":"${'0'.repeat(64)}"`));
  expect((await compile('int8')).stderr).toContain(`was made from other files than ${checkpoint} has`);
  rmSync(memo);
  expect(await compile('int8')).toMatchObject({ status: 0 });
  expect(JSON.parse(readFileSync(memo, 'utf8'))).toEqual(JSON.parse(digests));
  writeFileSync(join(checkpoint, 'generation_config.json'), '{"max_new_tokens": 5}');
  expect(await compile('int8')).toMatchObject({ status: 2 });
});
