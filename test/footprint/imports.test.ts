import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../support/deployment.js';

interface PackageFile {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const packageFile = (folder: string): PackageFile =>
  JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as PackageFile;

const workspaces = ['packages', 'services'].flatMap((parent) =>
  readdirSync(join(root, parent)).map((name) => `${parent}/${name}`),
);

/** The packages that a source file imports, by name; each import begins or ends a line. */
function importsOf(path: string): string[] {
  const code = readFileSync(path, 'utf8');
  return [...code.matchAll(/^(?:import|export|\}).* from '([^']+)';$|^import '([^']+)';$|\bimport\('([^']+)'\)/gm)]
    .map(([, from, plain, dynamic]) => from ?? plain ?? dynamic ?? '')
    .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
    .map((specifier) =>
      specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/'),
    );
}

const isForTests = (file: string): boolean => /\.test\.ts$|(^|\/)testing\/|test-support\.ts$/.test(file);

// All packages lie in one node_modules here, so an import works whoever lists it: an image of one service shows the lack.
test.each(workspaces)(
  '%s lists what it imports: for production what runs there, for development what tests add',
  (folder) => {
    const { name: own, dependencies = {}, devDependencies = {} } = packageFile(folder);
    const { devDependencies: shared = {} } = packageFile('.');
    const src = join(root, folder, 'src');
    const missing = new Set<string>();
    for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))) {
      for (const name of importsOf(join(src, file))) {
        // A package may import itself by name, as others see it.
        if (name === own || name in dependencies) continue;
        if (isForTests(file) && (name in devDependencies || name in shared)) continue;
        missing.add(`${name} (${file})`);
      }
    }
    expect([...missing]).toEqual([]);
  },
);
