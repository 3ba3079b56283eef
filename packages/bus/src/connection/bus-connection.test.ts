import { startNatsServer } from '@tessera/nats-server';
import { expect, test } from 'vitest';
import { Bus } from '../bus.js';

test('nothing at the URL is STAGE_UNAVAILABLE that names it', async () => {
  const server = await startNatsServer();
  await server.stop();
  const { url } = server;
  const error = await Bus.connect({ url, prefix: 'tessera', revision: 'r1', name: 'test' }).catch((reason) => reason);
  expect(error).toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  expect(error.message).toContain(url);
});

test('a server that does not wait for the name of its user is one that does not answer, not one that refuses it', async () => {
  const server = await startNatsServer({
    configuration: 'authorization { user: test, password: secret, timeout: 0.000001 }',
  });
  try {
    const options = { url: server.url, prefix: 'tessera', revision: 'r1', name: 'test' };
    const error = await Bus.connect(options).catch((reason) => reason);
    expect(error).toMatchObject({
      code: 'STAGE_UNAVAILABLE',
      message: expect.stringMatching(/authentication timeout/i),
    });
  } finally {
    await server.stop();
  }
});
