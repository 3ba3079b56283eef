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
