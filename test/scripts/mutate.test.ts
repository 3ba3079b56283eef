import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandEnd } from '@tessera/testing/processes/capture-output';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import { afterEach, beforeEach, expect, test } from 'vitest';
// @ts-expect-error The scripts have no types.
import * as mutants from '../../scripts/mutation/mutants.mjs';

interface Mutant {
  readonly line: number;
  readonly from: string;
  readonly to: string;
}

const {
  mutantsOf,
  mutated,
  shuffled,
}: {
  mutantsOf(name: string, source: string): Mutant[];
  mutated(source: string, mutant: Mutant): string;
  shuffled<T>(list: readonly T[], seed: number): T[];
} = mutants;

let tree: string;
beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'tessera-mutants-'));
});
afterEach(() => rmSync(tree, { recursive: true, force: true }));

const changed = (source: string): string[] =>
  mutantsOf('a.ts', source)
    .map((mutant) => mutated(source, mutant))
    .toSorted();

test.each([
  ['a < b', ['a <= b', 'a >= b']],
  ['a === b', ['a !== b']],
  ['a + b', ['a - b']],
  ["a + 'b'", []],
  ['`é` && (a * b)', ['`é` && (a / b)']],
  ['a && b', ['a || b']],
  ['!a', ['a']],
  ['a ? b : c', ['false ? b : c', 'true ? b : c']],
  ['f(true, 7, 1n)', ['f(false, 7, 1n)', 'f(true, 7, 2n)', 'f(true, 8, 1n)', '{}']],
  ['Math.min(a)', ['Math.max(a)', '{}']],
  ['let a = b.toString()', []],
  ['await this.f()', ['{}']],
  ['if (a) f();', ['if (a) {}', 'if (false) f();', 'if (true) f();']],
  ["log.warn('a')", []],
  ['a++', ['a--']],
  ['while (a) b', ['while (false) b']],
  ['let a: Array<1> = b as 2', []],
  ['const f = () => { return a }', ['const f = () => { return undefined as never }']],
  ['const f = () => { return false }', ['const f = () => { return true }']],
  ['class A extends B { constructor() { super(); } }', []],
  ['let a = { 1: b }', []],
])('%s', (source, expected) => {
  expect(changed(source)).toEqual(expected);
});

test('a seed is an order: the same each time, another for another seed, and nothing is lost', () => {
  const list = Array.from({ length: 50 }, (_, index) => index);
  const order = shuffled(list, 3);
  expect(shuffled(list, 3)).toEqual(order);
  expect(shuffled(list, 4)).not.toEqual(order);
  expect(order.toSorted((one, other) => one - other)).toEqual(list);
});

/** A tree of one file, whose test sees only a part of what it does. */
function fixture(): string {
  const source = `export function cut(value: number, limit: number): number {
  return value > limit ? limit : value;
}
`;
  const at = (path: string) => join(tree, path);
  mkdirSync(at('packages/tiny/src'), { recursive: true });
  mkdirSync(at('node_modules'));
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name !== '@tessera') symlinkSync(join(root, 'node_modules', name), at(`node_modules/${name}`));
  }
  cpSync(join(root, 'scripts'), at('scripts'), { recursive: true });
  writeFileSync(at('package.json'), '{"type":"module"}');
  writeFileSync(
    at('tsconfig.json'),
    '{"compilerOptions":{"strict":true,"noEmit":true,"target":"es2023","module":"nodenext"},"include":["packages/tiny/src/cut.ts"]}',
  );
  writeFileSync(at('vitest.config.ts'), "export default { test: { include: ['packages/*/src/*.test.ts'] } };");
  writeFileSync(at('packages/tiny/src/cut.ts'), source);
  writeFileSync(
    at('packages/tiny/src/cut.test.ts'),
    `import { expect, test } from 'vitest';
import { cut } from './cut.js';
test('what is over the limit is cut', () => {
  expect(cut(7, 5)).toBe(5);
  expect(cut(4, 5)).toBe(4);
});
`,
  );
  return source;
}

function mutate(...args: string[]): Promise<CommandEnd> {
  return runCommand(process.execPath, [join(tree, 'scripts/mutate.mjs'), ...args], { cwd: tree });
}

test('a test file that failed under one mutant is not held against the mutants of another source', async () => {
  fixture();
  const at = (name: string) => join(tree, 'packages/tiny/src', name);
  writeFileSync(
    join(tree, 'tsconfig.json'),
    readFileSync(join(tree, 'tsconfig.json'), 'utf8').replace(
      'cut.ts',
      '*.ts"],"exclude":["packages/tiny/src/*.test.ts',
    ),
  );
  writeFileSync(at('twice.ts'), 'export const twice = (value: number): number => value + value;\n');
  writeFileSync(
    at('twice.test.ts'),
    `import { expect, test } from 'vitest';
import { twice } from './twice.js';
test('twice nothing is nothing', () => expect(twice(0)).toBe(0));
`,
  );
  const { status, stdout, stderr } = await mutate('packages/tiny', '--limit', '20', '--json');
  expect(status, stderr).toBe(0);
  const { survivors } = JSON.parse(stdout);
  expect(survivors.map(({ path, from, to }: Record<string, string>) => `${path} ${from} ${to}`).toSorted()).toEqual([
    'packages/tiny/src/cut.ts > >=',
    'packages/tiny/src/twice.ts + -',
  ]);
});

test('a run says what the tests notice and what they do not, and touches no file of the tree', async () => {
  const source = fixture();
  // A failure that does not come again is none of the mistake's.
  writeFileSync(
    join(tree, 'packages/tiny/src/unsteady.test.ts'),
    `import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'vitest';
import { cut } from './cut.js';
test('fails every other time', () => {
  const mark = new URL('mark', import.meta.url);
  cut(7, 5);
  if (existsSync(mark) || process.env.TESSERA_MUTANT === undefined) return rmSync(mark, { force: true });
  writeFileSync(mark, '');
  throw new Error('the machine was busy');
});
`,
  );
  const { status, stdout, stderr } = await mutate('packages/tiny', '--limit', '2', '--json');
  expect(status, stderr).toBe(0);
  const first = JSON.parse(stdout);
  expect(first).toMatchObject({ seed: 1, tried: 2, next: 2 });
  const rest = JSON.parse((await mutate('packages/tiny', '--skip', '2', '--json')).stdout);
  expect(first.tried + rest.tried).toBe(first.all);
  // At the limit itself both ways are right: no test can tell them apart.
  const survivors = [...first.survivors, ...rest.survivors];
  expect(survivors.map(({ path, line, from, to }) => `${path}:${line} ${from} ${to}`)).toEqual([
    'packages/tiny/src/cut.ts:2 > >=',
  ]);
  expect(first.caught + rest.caught).toBe(4);
  expect(readFileSync(join(tree, 'packages/tiny/src/cut.ts'), 'utf8')).toBe(source);
});

test('a test that fails once without a mistake is run again', async () => {
  fixture();
  writeFileSync(
    join(tree, 'packages/tiny/src/cut.test.ts'),
    `import { existsSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cut } from './cut.js';
test('what is over the limit is cut, from the second time on', () => {
  const marker = new URL('before', import.meta.url);
  const isFirst = !existsSync(marker);
  writeFileSync(marker, '');
  expect(isFirst).toBe(false);
  expect(cut(7, 5)).toBe(5);
});
`,
  );
  const { status, stdout, stderr } = await mutate('packages/tiny', '--limit', '1', '--json');
  expect(status, stderr).toBe(0);
  expect(JSON.parse(stdout).tried).toBe(1);
});

test('tests that fail without a mistake are an error, and so is a path that is not there', async () => {
  fixture();
  writeFileSync(
    join(tree, 'packages/tiny/src/cut.test.ts'),
    "import { test } from 'vitest'; test('', () => { throw 1; });",
  );
  expect(await mutate('packages/tiny/src/cut.ts')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('the tests fail without any mistake'),
  });
  expect(await mutate('packages/none')).toMatchObject({ status: 1, stderr: expect.stringContaining('no such file') });
  expect(await mutate()).toMatchObject({ status: 2, stderr: expect.stringContaining('--seed S') });
});
