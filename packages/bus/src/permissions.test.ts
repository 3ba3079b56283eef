import { setImmediate } from 'node:timers/promises';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { type NatsServer, natsUsers, passwordOf, startNatsServer } from '@tessera/nats-server';
import {
  type BusUser,
  busRoles,
  busUsers,
  connectQueue,
  type DeclaredQueue,
  drawingEvents,
  encodeQueue,
  generateQueue,
  inboxPrefix,
  parts,
  Subjects,
  visualTokens,
} from '@tessera/protocol';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bus } from './bus.js';
import { BusConnection } from './connection/bus-connection.js';
import { Janitor } from './streams/janitor.js';
import { smallStreams } from './testing/test-bus.js';

const subjects = new Subjects('t', 'r1');
const other = new Subjects('u', 'r1');
const at = { requestId: 'r', item: 0, tile: 0 };
const tokens = subjects.product(visualTokens, '0-abcdefgh', { ...at, part: 0 });
const drawing = subjects.product(drawingEvents, '0-abcdefgh', { ...at, part: 0 });
const pull = (queue: DeclaredQueue) => `$JS.API.CONSUMER.MSG.NEXT.${subjects.queue(queue)}.${subjects.workers}`;
const purge = (stream: string) => `$JS.API.STREAM.PURGE.${stream}`;

/** Who may send where, of all that is sent in a deployment. */
const may: ReadonlyArray<[what: string, subject: string, roles: readonly BusUser[]]> = [
  ['an encode job', subjects.job(encodeQueue, at), ['gateway']],
  ['a connect job', subjects.job(connectQueue, at), ['encoder']],
  ['a generate job', subjects.job(generateQueue, at), ['llm']],
  ['visual tokens', tokens, ['encoder', 'connector']],
  ['a drawing', drawing, ['generator']],
  ['a part', subjects.part(0, 'p', 0), ['gateway', 'encoder']],
  ['a cancel', subjects.cancel('r'), ['gateway']],
  ['a tombstone', subjects.tombstone('r'), ['gateway']],
  ['a sign that its revision is served', subjects.revisionAlive(subjects.revision), busUsers],
  ['a question who takes encode jobs', subjects.attendance(encodeQueue), ['gateway']],
  ['an announcement', subjects.engines(), ['llm']],
  ['an announcement of experts', subjects.experts(), ['llm']],
  ['an announcement of layers', subjects.layers(), ['llm']],
  ['a pull for encode jobs', pull(encodeQueue), ['encoder']],
  ['a pull for connect jobs', pull(connectQueue), ['connector']],
  ['a pull for generate jobs', pull(generateQueue), ['generator']],
  ["a purge of engines' streams", purge(subjects.shard(visualTokens, 0)), ['llm', 'gateway']],
  ["a purge of gateways' streams", purge(subjects.shard(drawingEvents, 0)), ['gateway']],
  ['a purge of parts', purge(subjects.shard(parts, 0)), ['gateway', 'encoder', 'connector']],
  ['a purge of a queue', purge(subjects.queue(encodeQueue)), []],
  ["another deployment's job", other.job(encodeQueue, at), []],
  ["another revision's job", new Subjects('t', 'r2').job(encodeQueue, at), []],
  ["an answer to another's request", `${inboxPrefix('gateway')}.x`, []],
  ['anything else', 'anything.else', []],
];

/** Who may listen where. */
const mayHear: ReadonlyArray<[what: string, subject: string, roles: readonly BusUser[]]> = [
  ['cancels', subjects.cancel(), busRoles],
  ['whether somebody asks who takes encode jobs', subjects.attendance(encodeQueue), ['encoder']],
  ['whether somebody asks who takes generate jobs', subjects.attendance(generateQueue), ['generator']],
  ['announcements', subjects.engines(), ['gateway']],
  ['announcements of experts', subjects.experts(), ['llm']],
  ['announcements of layers', subjects.layers(), ['llm']],
  ["the gateway's answers", `${inboxPrefix('gateway')}.>`, ['gateway']],
  ["the encoder's answers", `${inboxPrefix('encoder')}.>`, ['encoder']],
  ['visual tokens', subjects.shardSubjects(visualTokens, 0), []],
  ['jobs', subjects.queueSubjects(encodeQueue), []],
  ['everything', '>', []],
];

let server: NatsServer;
const log: string[] = [];
beforeAll(async () => {
  server = await startNatsServer({ configuration: natsUsers(subjects), log: (line) => log.push(line) });
});
afterAll(async () => {
  await server?.stop();
});

test('the gateway may set up, change what is there, and tidy what others left', async () => {
  await using files = await TestAuthority.create();
  const passwordFile = await files.file('password', passwordOf('gateway'));
  const options = {
    url: server.url,
    prefix: subjects.prefix,
    revision: subjects.revision,
    name: 'gateway',
    credentials: { user: 'gateway', passwordFile },
  };
  for (const maxJobs of [7, 8]) {
    const bus = await Bus.connect({ ...options, limits: { ...smallStreams, maxJobs, maxAckPending: 100 * maxJobs } });
    await bus.setup();
    await bus.close();
  }
  const connection = await BusConnection.open({ ...options, limits: smallStreams });
  const janitor = new Janitor(connection);
  await janitor.look();
  await janitor.look();
  await connection.close();
  expect(log.filter((line) => /violation/i.test(line))).toEqual([]);
});

/** The services whose user the server lets do something. */
async function allowed(act: (nc: NatsConnection) => void): Promise<BusUser[]> {
  const roles: BusUser[] = [];
  for (const role of busUsers) {
    const nc = await connect({ servers: server.url, user: role, pass: passwordOf(role) });
    let refused = false;
    void (async () => {
      for await (const status of nc.status()) if (status.type === 'error') refused = true;
    })();
    act(nc);
    // The server's word on what was sent comes before its answer to this.
    await nc.flush();
    await setImmediate();
    if (!refused) roles.push(role);
    await nc.close();
  }
  return roles;
}

describe('may send', () => {
  test.each(may)('%s', async (_, subject, roles) => {
    expect(await allowed((nc) => nc.publish(subject))).toEqual(busUsers.filter((role) => roles.includes(role)));
  });
});

describe('may hear', () => {
  test.each(mayHear)('%s', async (_, subject, roles) => {
    const hear = (nc: NatsConnection) => void nc.subscribe(subject, { callback: () => {} });
    expect(await allowed(hear)).toEqual(busUsers.filter((role) => roles.includes(role)));
  });
});
