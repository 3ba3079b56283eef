import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';

const folder = join(root, 'proto/tessera/v1');
const reference = readFileSync(join(root, 'docs/api.md'), 'utf8');

/** What a contract's file declares, in the words of its source: each name with the comment above it. */
function declarations(file: string): { name: string; comment: string }[] {
  const text = readFileSync(join(folder, file), 'utf8');
  const commented = /((?:^ *\/\/.*\n)+) *(?:(?:service|message|enum|rpc) (\w+)|(?:[\w. ]+ )?(\w+) = \d+;)/gm;
  return [...text.matchAll(commented)].map(([, comment = '', outer, inner]) => ({
    name: outer ?? inner ?? '',
    comment: comment
      .split('\n')
      .map((line) => line.trim().replace(/^\/\/ ?/, ''))
      .join(' ')
      .trim(),
  }));
}

test('the reference has every declaration of the public contract with its comment, and none of the bus', () => {
  const lines = new Set(reference.split('\n'));
  const stands = ({ name, comment }: { name: string; comment: string }): boolean =>
    lines.has(`### ${name}`)
      ? reference.includes(`### ${name}\n\n${comment}\n`)
      : [...lines].some((line) => line.startsWith(`| \`${name}\` |`) && line.endsWith(`| ${comment} |`));
  const contract = readdirSync(folder).flatMap(declarations);
  expect(contract.length).toBeGreaterThan(200);
  expect(contract.filter((each) => !stands(each))).toEqual([]);
  expect(reference).not.toContain('### EncodeJob');
});
