import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { parseSync } from 'oxc-parser';

/** One import, or export from elsewhere, of a source file. */
export interface Import {
  /** As it is written: `./bus.js`, `@tessera/bus`, `node:fs`. */
  readonly specifier: string;
  /** Whether nothing of it is left when the types are gone. */
  readonly isTypeOnly: boolean;
}

export interface PackageFile {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The folders of all packages and services, as `packages/bus`. */
export const workspaces: readonly string[] = ['packages', 'services'].flatMap((parent) =>
  readdirSync(join(root, parent)).map((name) => `${parent}/${name}`),
);

export const packageFile = (folder: string): PackageFile =>
  JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as PackageFile;

/** The source files of a workspace, relative to its `src`. */
export const sourcesOf = (folder: string): string[] =>
  readdirSync(join(root, folder, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

/** Whether a source file runs in tests only. */
export const isForTests = (file: string): boolean => /\.test\.ts$|(^|\/)testing\//.test(file);

export function importsOf(path: string): Import[] {
  const code = readFileSync(path, 'utf8');
  const { module } = parseSync(path, code);
  const imports = module.staticImports.map(({ moduleRequest, entries }) => ({
    specifier: moduleRequest.value,
    isTypeOnly: entries.length > 0 && entries.every(({ isType }) => isType),
  }));
  const exports = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest, isType }) =>
      moduleRequest === null ? [] : [{ specifier: moduleRequest.value, isTypeOnly: isType }],
    ),
  );
  const dynamic = module.dynamicImports.flatMap(({ moduleRequest: { start, end } }) => {
    const [, specifier] = /^'(.*)'$/s.exec(code.slice(start, end)) ?? [];
    return specifier === undefined ? [] : [{ specifier, isTypeOnly: false }];
  });
  return [...imports, ...exports, ...dynamic];
}

/** The package that a specifier names, without the path behind it; undefined for files and for Node's own modules. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}
