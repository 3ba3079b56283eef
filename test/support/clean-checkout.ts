import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { root } from '@tessera/testing/repository';

const made = new Set(['dist', 'generated', 'node_modules']);

/** A package and those that its build builds. */
function withReferences(name: string, found = new Set<string>()): Set<string> {
  found.add(name);
  const { references = [] } = JSON.parse(readFileSync(join(root, 'packages', name, 'tsconfig.json'), 'utf8'));
  for (const { path } of references as { path: string }[]) {
    if (!found.has(basename(path))) withReferences(basename(path), found);
  }
  return found;
}

/**
 * Copies a package, those that it is built with and what it takes to build them, but nothing that a build made; installed
 * packages are links to those of this checkout. There is no registry in tests, so `npm ci` is done by hand.
 * @returns the folder of the package in the copy
 */
export function copyUnbuilt(name: string, to: string): string {
  const packages = [...withReferences(name)];
  const files = ['package.json', 'tsconfig.base.json', 'buf.yaml', 'buf.gen.yaml', 'LICENSE', 'proto'];
  for (const file of [...files, ...packages.map((each) => `packages/${each}`)]) {
    cpSync(join(root, file), join(to, file), { recursive: true, filter: (path) => !made.has(basename(path)) });
  }
  const installed = join(to, 'node_modules');
  mkdirSync(join(installed, '@tessera'), { recursive: true });
  for (const each of readdirSync(join(root, 'node_modules'))) {
    if (each !== '@tessera') symlinkSync(join(root, 'node_modules', each), join(installed, each));
  }
  for (const each of packages) symlinkSync(join(to, 'packages', each), join(installed, '@tessera', each));
  return join(to, 'packages', name);
}
