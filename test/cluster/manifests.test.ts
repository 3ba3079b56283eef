import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cases } from '../charts/support/cases.js';
import { Namespace } from './support/namespace.js';

/** What the API server says of every manifest: unknown fields, defaults, what kinds demand and admission allows. */
let namespace: Namespace;
beforeAll(async () => {
  namespace = await Namespace.create('manifests');
});
afterAll(async () => {
  await namespace?.[Symbol.asyncDispose]();
});

function refuseNothing(manifests: string): Promise<string> {
  return namespace.kubectl(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], manifests);
}

test.each(cases)('$name', async ({ chart, values }) => {
  const args = ['template', 'tessera', join(root, chart), '--values', join(root, values)];
  const said = await refuseNothing(await namespace.helm(args));
  expect(said).toMatch(/created \(server dry run\)/);
});

const examples = join(root, 'deploy/examples/manifests');

test.each(readdirSync(examples).filter((file) => file.endsWith('.yaml')))('the example %s', async (file) => {
  const manifests = readFileSync(join(examples, file), 'utf8').replaceAll(
    /^( *)namespace: .*$/gm,
    `$1namespace: ${namespace.name}`,
  );
  expect(await refuseNothing(manifests)).toMatch(/(created|configured) \(server dry run\)/);
});

test('a field that no kind has is refused by its name: the checks above can fail', async () => {
  const { chart, values } = cases.find(({ name }) => name.includes('gateway')) as (typeof cases)[number];
  const manifests = await namespace.helm(['template', 'tessera', join(root, chart), '--values', join(root, values)]);
  await expect(refuseNothing(manifests.replace('selector:', 'selectr:'))).rejects.toThrow(
    /unknown field "spec.selectr"/,
  );
});
