// Before `npm pack`: what package.json names in `bundleDependencies` must lie in this package's own node_modules, while npm
// puts the packages of a workspace into the root's. Links are enough, npm packs what they point to.
import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

const { bundleDependencies } = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8'));
for (const name of bundleDependencies) {
  const link = join(import.meta.dirname, 'node_modules', name);
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(relative(dirname(link), join(import.meta.dirname, '..', basename(name))), link, 'dir');
}
