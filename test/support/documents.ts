import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';

/** The folders of every package and service. */
const workspaces: readonly string[] = ['packages', 'services'].flatMap((parent) =>
  readdirSync(join(root, parent)).map((name) => `${parent}/${name}`),
);

const paths = [
  ...readdirSync(root),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => `docs/${name}`),
  ...[...workspaces, 'bench'].map((folder) => `${folder}/README.md`),
];

/** The documents that people read, by their path. */
export const documents: ReadonlyMap<string, string> = new Map(
  paths
    .filter((path) => path.endsWith('.md') && existsSync(join(root, path)))
    .map((path) => [path, readFileSync(join(root, path), 'utf8')]),
);
