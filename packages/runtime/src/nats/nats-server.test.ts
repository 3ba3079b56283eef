import { access } from 'node:fs/promises';
import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { Bus } from './bus.js';
import { startNatsServer } from './nats-server.js';

test('a server takes clients with JetStream and leaves nothing behind', async () => {
  const server = await startNatsServer();
  expect(server.url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
  const bus = await Bus.connect({ url: server.url, prefix: 'tessera', revision: 'r1', name: 'test' });
  await bus.setup();
  await bus.close();
  await server.stop();
  expect(() => process.kill(server.pid, 0)).toThrow();
});

test('two servers run side by side', async () => {
  const [one, other] = await Promise.all([startNatsServer(), startNatsServer()]);
  expect(one.url).not.toBe(other.url);
  await Promise.all([one.stop(), other.stop()]);
});

test('a missing program is an error that says how to install it', async () => {
  const path = process.env.PATH;
  const failure = startNatsServer({ binary: '/nowhere/nats-server' });
  await expect(failure).rejects.toThrow(/ENOENT/);
  await expect(failure).rejects.toBeInstanceOf(TesseraError);
  process.env.PATH = path;
});

test('a store folder that was given is kept', async () => {
  const { mkdtemp, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const storeDir = await mkdtemp(`${tmpdir()}/tessera-store-`);
  const server = await startNatsServer({ storeDir });
  await server.stop();
  await access(storeDir);
  await rm(storeDir, { recursive: true });
});

test('nothing at the URL is STAGE_UNAVAILABLE that names it, without the password', async () => {
  const server = await startNatsServer();
  await server.stop();
  const url = server.url.replace('//', '//user:secret@');
  const error = await Bus.connect({ url, prefix: 'tessera', revision: 'r1', name: 'test' }).catch((reason) => reason);
  expect(error).toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  expect(error.message).toContain(server.url);
  expect(error.message).not.toContain('secret');
});
