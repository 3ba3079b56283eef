// Before `npm pack`. What package.json names in `bundleDependencies` must lie in this package's own node_modules, while npm
// puts the packages of a workspace into the root's: links are enough, npm packs what they point to. The licence goes along.
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

const here = import.meta.dirname;
const { bundleDependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
for (const name of bundleDependencies) {
  const link = join(here, 'node_modules', name);
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(relative(dirname(link), join(here, '..', basename(name))), link, 'dir');
}
copyFileSync(join(here, '../../LICENSE'), join(here, 'LICENSE'));
