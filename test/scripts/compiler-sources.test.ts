import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { afterEach, beforeEach, expect, test } from 'vitest';

const script = join(root, 'scripts/compiler-sources.mjs');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-sources-'));
  mkdirSync(join(folder, 'src/testing'), { recursive: true });
  write('a.ts', 'one');
  write('b.ts', 'two');
  execFileSync(process.execPath, [script, folder]);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(file: string, text: string): void {
  writeFileSync(join(folder, 'src', file), text);
}

const check = () => spawnSync(process.execPath, [script, '--check', folder], { encoding: 'utf8' });

test('a changed source of the compiler fails the check until it was judged', () => {
  expect(check().status).toBe(0);
  write('b.ts', 'other');
  const { status, stderr } = check();
  expect(status).toBe(1);
  expect(stderr).toContain('raise compilerVersion in packages/compiler/src/content-digest.ts');
  execFileSync(process.execPath, [script, folder]);
  expect(check().status).toBe(0);
  write('c.ts', '');
  expect(check().status).toBe(1);
});

test('tests and what only they use change no bundle', () => {
  write('a.test.ts', 'a test');
  write('testing/help.ts', 'help');
  expect(check().status).toBe(0);
});
