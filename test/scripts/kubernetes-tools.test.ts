import { join } from 'node:path';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';

const script = join(root, 'scripts/kubernetes-tools.mjs');
const tool = (...args: string[]) => runCommand(process.execPath, [script, ...args]);

test('helm and kubectl run, and end as they would by themselves', async () => {
  expect(await tool('helm', 'version', '--short')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^v4\./) });
  expect(await tool('kubectl', 'version', '--client')).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('v1.'),
  });
  expect(await tool('helm', 'lint', join(root, 'no-such-chart'))).toMatchObject({ status: 1 });
});

test('another tool is named as unknown', async () => {
  expect(await tool('kustomize')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("no tool is called 'kustomize'"),
  });
});
