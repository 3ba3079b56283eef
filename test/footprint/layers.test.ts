import { dirname, join, relative } from 'node:path';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';
import { importsOf, packageFile, packageOf, sourcesOf, workspaces } from '../support/imports.js';

/**
 * The layers of the tree, the lowest first. What lies in one imports from lower ones only, in its tests too: neither from
 * higher ones nor from its neighbours. test/, bench/ and scripts/ stand above all and are no packages.
 */
const layers: readonly (readonly string[])[] = [
  ['packages/testing'],
  ['packages/protocol'],
  ['packages/flow'],
  ['packages/bundle', 'packages/grpc', 'packages/inference', 'packages/placement', 'packages/tokenizer'],
  ['packages/client', 'packages/service'],
  ['packages/compiler', 'packages/nats-server'],
  ['packages/bus', 'packages/media'],
  ['packages/adviser', 'packages/stage'],
  ['services/encoder', 'services/connector', 'services/llm', 'services/generator', 'services/gateway'],
  ['packages/cli'],
];

const heightOf = (folder: string): number => layers.findIndex((layer) => layer.includes(folder));

const folderOf = new Map(workspaces.map((folder) => [packageFile(folder).name, folder]));

/** What one workspace takes from others: by the imports of its files, and by its package.json. */
function taken(folder: string): { name: string; where: string }[] {
  const { dependencies = {}, devDependencies = {} } = packageFile(folder);
  const listed = Object.keys({ ...dependencies, ...devDependencies }).map((name) => ({ name, where: 'package.json' }));
  const imported = sourcesOf(folder).flatMap((file) =>
    importsOf(join(root, folder, 'src', file)).flatMap(({ specifier }) => {
      const name = packageOf(specifier);
      return name === undefined ? [] : [{ name, where: `src/${file}` }];
    }),
  );
  return [...listed, ...imported];
}

/** The files that each file of a workspace imports, relative to its `src`. */
function fileGraph(folder: string): Map<string, string[]> {
  const src = join(root, folder, 'src');
  const { name: own } = packageFile(folder);
  return new Map(
    sourcesOf(folder).map((file) => {
      const targets = importsOf(join(src, file)).flatMap(({ specifier }) => {
        if (specifier === own) return ['index.ts'];
        if (!specifier.startsWith('.')) return [];
        return [relative(src, join(dirname(join(src, file)), specifier)).replace(/\.js$/, '.ts')];
      });
      return [file, targets];
    }),
  );
}

/** Groups of nodes that reach each other along the edges (Tarjan's strongly connected components of more than one). */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): void => {
    order.set(node, order.size);
    lowest.set(node, order.get(node) as number);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      else if (!stack.includes(next)) continue;
      lowest.set(node, Math.min(lowest.get(node) as number, lowest.get(next) as number));
    }
    if (lowest.get(node) !== order.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    if (group.length > 1 || graph.get(node)?.includes(node)) found.push(group.sort());
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return found;
}

test('every workspace has its layer, once', () => {
  expect(layers.flat().toSorted()).toEqual(workspaces.toSorted());
});

test.each(workspaces)('%s takes from lower layers only', (folder) => {
  const upward = taken(folder).flatMap(({ name, where }) => {
    const target = folderOf.get(name);
    if (target === folder) return [];
    if (target === undefined) return name.startsWith('@tessera/') ? [`${name} (${where}) is no workspace`] : [];
    return heightOf(target) < heightOf(folder) ? [] : [`${name} (${where})`];
  });
  expect(upward).toEqual([]);
});

// Types count: files that need each other's types cannot be understood, or moved, one without the other.
test.each(workspaces)('no files of %s import each other in a circle', (folder) => {
  expect(cycles(fileGraph(folder))).toEqual([]);
});

test('a circle is found whatever its length, and what only hangs on it is no part of it', () => {
  const graph = (edges: Record<string, string[]>) => new Map(Object.entries(edges));
  expect(cycles(graph({ a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }))).toEqual([]);
  expect(cycles(graph({ a: ['b'], b: ['c'], c: ['d', 'b'], d: [] }))).toEqual([['b', 'c']]);
  expect(cycles(graph({ a: ['b'], b: ['c'], c: ['a'], d: ['d'] }))).toEqual([['a', 'b', 'c'], ['d']]);
});
