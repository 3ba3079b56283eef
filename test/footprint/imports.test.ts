import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';
import { importsOf, isForTests, packageFile, packageOf, sourcesOf, workspaces } from '../support/imports.js';

// All packages lie in one node_modules here, so an import works whoever lists it: an image of one service shows the lack.
test.each(workspaces)(
  '%s lists what it imports: for production what runs there, for development what tests add',
  (folder) => {
    const { name: own, dependencies = {}, devDependencies = {}, optionalDependencies = {} } = packageFile(folder);
    const { devDependencies: shared = {} } = packageFile('.');
    const missing = new Set<string>();
    for (const file of sourcesOf(folder)) {
      for (const { specifier } of importsOf(join(root, folder, 'src', file))) {
        const name = packageOf(specifier);
        // A package may import itself by name, as others see it.
        if (name === undefined || name === own || name in dependencies || name in optionalDependencies) continue;
        if ((isForTests(file) || own === '@tessera/testing') && (name in devDependencies || name in shared)) continue;
        missing.add(`${name} (${file})`);
      }
    }
    expect([...missing]).toEqual([]);
  },
);

test('nothing that runs in production depends on @tessera/testing', () => {
  const needing = workspaces.filter((folder) => '@tessera/testing' in (packageFile(folder).dependencies ?? {}));
  expect(needing).toEqual([]);
});
