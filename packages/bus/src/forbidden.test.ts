import { startNatsServer } from '@tessera/nats-server';
import { encodeQueue, Subjects } from '@tessera/protocol';
import { memoryLog } from '@tessera/service/testing/memory-log';
import { eventually } from '@tessera/testing/async/eventually';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import { afterEach, expect, test } from 'vitest';
import { Bus } from './bus.js';
import { encodeJob, toNobody } from './testing/messages.js';
import { Cleanup } from './testing/test-bus.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test('a service whose user may not hear what others say is told so, and goes on with what it may', async () => {
  const subjects = new Subjects('t', 'r1');
  const denied = [subjects.cancel(), subjects.engines(), subjects.anyEngines()];
  const permissions = `{ publish: ">", subscribe: { allow: ">", deny: ${JSON.stringify(denied)} } }`;
  const server = await startNatsServer({
    configuration: `authorization { users = [{ user: deaf, password: "p", permissions: ${permissions} }] }`,
  });
  cleanup.add(() => server.stop());
  const files = await TestAuthority.create();
  cleanup.add(() => files[Symbol.asyncDispose]());
  const credentials = { user: 'deaf', passwordFile: await files.file('password', 'p') };
  const { log, lines } = memoryLog();
  const bus = await Bus.connect({ url: server.url, prefix: 't', revision: 'r1', name: 'test', credentials, log });
  cleanup.add(() => bus.close());
  expect(await bus.hearForeignEngines(cleanup.signal())).toEqual([]);
  const directory = bus.watchEngines(cleanup.signal());
  const told = () => denied.filter((subject) => lines.some(({ error }) => String(error).includes(`"${subject}"`)));
  await eventually(() => told().length === denied.length, 'each is told');
  // It still hears the answers of the server.
  await bus.setup();
  await bus.publish(encodeQueue, encodeJob('a'), toNobody());
  expect((await bus.queueDepths())[0]).toMatchObject({ waiting: 1 });
  expect([bus.isOnline, directory.size]).toEqual([true, 0]);
});
