import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';
import { documents } from '../support/documents.js';

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(path: string): Set<string> {
  const text = readFileSync(join(root, path), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading.toLowerCase());
  return new Set(headings.map((heading) => heading.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-')));
}

test('every link between documents leads to a file that is there, and to a heading of it', () => {
  const broken: string[] = [];
  let links = 0;
  for (const [path, text] of documents) {
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      links++;
      const [file = '', anchor] = target.split('#');
      const leadsTo = file === '' ? path : join(dirname(path), file);
      if (!existsSync(join(root, leadsTo))) broken.push(`${path}: ${target}`);
      else if (anchor !== undefined && !anchorsOf(leadsTo).has(anchor)) broken.push(`${path}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
  expect(links).toBeGreaterThan(50);
});

test('every path of the tree that a document names in code type is there', () => {
  const tree = /`((?:packages|services|bench|proto|scripts|docs|models|test)\/[\w./-]*\w)`/g;
  const missing = [...documents].flatMap(([path, text]) =>
    [...text.matchAll(tree)]
      .map(([, name = '']) => name)
      .filter((name) => !existsSync(join(root, name)))
      .map((name) => `${path}: ${name}`),
  );
  expect(missing).toEqual([]);
});
