import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { isAlive } from '@tessera/testing/processes/is-alive';
import { expect, test } from 'vitest';
import { findNatsServer, startNatsServer } from './nats-server.js';

test('a server takes clients with JetStream and leaves nothing behind', async () => {
  const server = await startNatsServer();
  expect(server.url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
  const connection = await connect({ servers: server.url });
  const manager = await jetstreamManager(connection);
  expect((await manager.getAccountInfo()).streams).toBe(0);
  await connection.close();
  await server.stop();
  expect(isAlive(server.pid)).toBe(false);
});

test('two servers run side by side', async () => {
  const [one, other] = await Promise.all([startNatsServer(), startNatsServer()]);
  expect(one.url).not.toBe(other.url);
  await Promise.all([one.stop(), other.stop()]);
});

test('a missing program is an error that says how to install it', async () => {
  await expect(startNatsServer({ binary: '/nowhere/nats-server' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('apt-get install nats-server'),
  });
  await expect(findNatsServer(['/nowhere/a', '/nowhere/b'])).rejects.toMatchObject({
    message: expect.stringContaining('PATH'),
  });
});

test('a program that is no server is an error, not a wait', async () => {
  await expect(startNatsServer({ binary: '/bin/false' })).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
});

test('a port that is taken is a sentence that names it', async () => {
  const server = await startNatsServer();
  const port = Number(new URL(server.url).port);
  await expect(startNatsServer({ port })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(`port ${port} of 127.0.0.1: another program has it`),
  });
  await server.stop();
});

test('a store folder that was given is kept', async () => {
  const storeDir = await mkdtemp(join(tmpdir(), 'tessera-store-'));
  const server = await startNatsServer({ storeDir });
  await server.stop();
  await access(storeDir);
  await rm(storeDir, { recursive: true });
});
