import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';

test('a process that is told to end while it loads its code ends with 0, and not by the signal', async () => {
  const module = join(root, 'packages/service/dist/service/early-end.js');
  // What a service loads after it takes as long as this test wants it to.
  const program = `await import(${JSON.stringify(module)}); process.send('loads'); setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  await once(child, 'message');
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});
