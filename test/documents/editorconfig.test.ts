import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';

test('editors indent and wrap as the formatter does', () => {
  const { formatter } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8'));
  const entries = [...readFileSync(join(root, '.editorconfig'), 'utf8').matchAll(/^(\w+) = (\w+)$/gm)];
  const editor = Object.fromEntries(entries.map(([, key, value]) => [key, value]));
  expect(editor).toMatchObject({
    indent_style: formatter.indentStyle,
    indent_size: String(formatter.indentWidth),
    max_line_length: String(formatter.lineWidth),
  });
});
