import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';

// What is wrong with a deployment stands in the last line of a process that ends for it: whoever restarts it for ever, as
// Kubernetes does, shows that line.

let server: NatsServer;
let folder: string;
let bundleDir: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-starts-'));
  [server, bundleDir] = await Promise.all([startNatsServer(), demoBundleDir('float32', 'experts')]);
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a service that cannot start; gives its status and the sentence of its last log line. */
async function start(service: string, flags: readonly string[]): Promise<{ status: number | null; sentence: string }> {
  const shared = ['--model-dir', bundleDir, '--nats-url', server.url];
  const given = shared.flatMap((flag, at) => (at % 2 === 0 && flags.includes(flag) ? [] : [flag]));
  const { status, stdout, stderr } = await runCommand(process.execPath, [
    join(root, 'services', service, 'dist/main.js'),
    ...(flags.includes('--nats-url') ? ['--model-dir', bundleDir] : given),
    ...flags,
  ]);
  const last = stdout.trim().split('\n').at(-1) ?? '';
  expect(last, stdout + stderr).toMatch(/^\{.*"event":"failed"/);
  return { status, sentence: (JSON.parse(last) as { err: { message: string } }).err.message };
}

test.each(['encoder', 'gateway'])(
  'the %s ends when the secret is not mounted, and names setting and file',
  async (service) => {
    const file = join(folder, 'absent/password');
    const { status, sentence } = await start(service, ['--nats-user', service, '--nats-password-file', file]);
    expect(status).toBe(2);
    expect(sentence).toContain(`nats.passwordFile names ${file}, which cannot be read: ENOENT`);
    expect(sentence).toContain('mount the secret');
  },
);

test.each(['engine', 'experts'])(
  'the llm service as %s ends for a placement of another revision of the model',
  async (role) => {
    const file = join(folder, 'placement.json');
    const everything = [{ layers: 'all', experts: 'all' }];
    writeFileSync(
      file,
      JSON.stringify({ revision: 'abcdef012345', epoch: 1, engine: [], groups: { warm: everything } }),
    );
    const { revision } = (await readBundle(bundleDir, [])).manifest;
    const flags = ['--role', role, '--experts-placement-file', file, '--experts-group', 'warm'];
    const { status, sentence } = await start('llm', role === 'engine' ? flags.slice(2, 4) : flags);
    expect(status).toBe(2);
    expect(sentence).toContain(`${file} is for revision abcdef012345 of the model; the bundle has ${revision}`);
    expect(sentence).toContain('tessera place plan');
  },
);

test('a placement that is not mounted is named', async () => {
  const file = join(folder, 'absent/placement.json');
  const { status, sentence } = await start('llm', ['--experts-placement-file', file]);
  expect(status).toBe(2);
  expect(sentence).toContain(`the placement ${file} cannot be read: ENOENT`);
});

test('NATS that has too little memory for the streams is told how much they need', async () => {
  const { status, sentence } = await start('gateway', ['--nats-uploads-bytes', String(2 ** 40)]);
  expect(status).toBe(2);
  expect(sentence).toMatch(
    /refuses stream .*; all streams together need \d+ bytes: raise max_mem of the server, or of the account, or lower/,
  );
});

test('NATS that is not there is waited for, and named at the end', async () => {
  const { status, sentence } = await start('connector', ['--nats-url', 'nats://127.0.0.1:9', '--nats-wait-ms', '600']);
  expect(status).toBe(1);
  expect(sentence).toContain('NATS at nats://127.0.0.1:9 cannot be reached');
});
