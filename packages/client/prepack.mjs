// Before `npm pack` and `npm publish`: builds this package, and those that travel in it, anew, so that neither a checkout that
// was never built nor what an older build left behind decides what is published. What package.json names in
// `bundleDependencies` must lie in this package's own node_modules, while npm puts the packages of a workspace into the root's:
// links are enough, npm packs what they point to. The licence goes along.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';

const here = import.meta.dirname;
const root = resolve(here, '../..');
const { bundleDependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const folderOf = (name) => join(here, '..', basename(name));
// What these print would stand before the name of the tarball.
const run = (command, ...args) => execFileSync(command, args, { cwd: root, stdio: ['ignore', 2, 'inherit'] });

run('npm', 'run', '--silent', 'generate');
for (const folder of [here, ...bundleDependencies.map(folderOf)])
  rmSync(join(folder, 'dist'), { recursive: true, force: true });
// Forced: its notes of what is up to date do not lie in dist, and do not know that it is gone.
run(process.execPath, 'node_modules/typescript/bin/tsc', '-b', '--force', here);

for (const name of bundleDependencies) {
  const link = join(here, 'node_modules', name);
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(relative(dirname(link), folderOf(name)), link, 'dir');
}
copyFileSync(join(root, 'LICENSE'), join(here, 'LICENSE'));
