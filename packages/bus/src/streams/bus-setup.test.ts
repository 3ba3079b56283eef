import { StorageType } from '@nats-io/jetstream';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { type ConsumerSpec, encodeQueue, streamPlan, visualTokens } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { Bus } from '../bus.js';
import type { BusLimits } from '../bus-options.js';
import { BusConnection } from '../connection/bus-connection.js';
import { limitedAccount } from '../testing/limited-account.js';
import { counted, encodeJob, inAMinute, jobKey, sendTokens, toNobody } from '../testing/messages.js';
import { Cleanup, newId, smallStreams } from '../testing/test-bus.js';
import { Janitor } from './janitor.js';
import { applyStreamPlan, type SetupMode } from './setup.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

test('many processes set up at once, and again, and all is as planned', async () => {
  const prefix = newId('t');
  const options = { url: server.url, prefix, revision: 'r1', name: 'test', limits: smallStreams };
  const buses = await Promise.all(Array.from({ length: 8 }, () => Bus.connect(options)));
  for (const bus of buses) cleanup.add(() => bus.close());
  await Promise.all(buses.map((bus) => bus.setup()));
  await buses[0]?.setup();
  const jsm = await cleanup.manager(server.url);
  const encode = await jsm.streams.info(`${prefix}_v2_encode_r1`);
  expect(encode.config).toMatchObject({
    retention: 'workqueue',
    storage: 'memory',
    discard: 'new',
    max_bytes: smallStreams.maxBytes?.encode,
    num_replicas: 1,
  });
  expect((await jsm.streams.info(`${prefix}_v2_tokens_0`)).config).toMatchObject({
    retention: 'workqueue',
    allow_direct: true,
  });
  // What is stored for whoever may come, and what the last one said, stays when it was read.
  const kept: string[] = [];
  for await (const { config } of jsm.streams.list()) {
    if (config.name.startsWith(`${prefix}_v2_`) && config.retention === 'limits')
      kept.push(`${config.name.slice(prefix.length + 4)} ${config.discard}`);
  }
  expect(kept.sort()).toEqual(['cancelled old', 'parts_0 new', 'revisions old', 'uploads_0 new']);
  const consumer = await jsm.consumers.info(`${prefix}_v2_encode_r1`, 'workers');
  expect(consumer.config).toMatchObject({
    ack_policy: 'explicit',
    filter_subject: `${prefix}.v2.encode.r1.>`,
    max_deliver: -1,
  });
});

test('of many that make the same stream at once none is told that it overlaps with itself', async () => {
  const connections = await Promise.all([1, 2, 3, 4].map(() => connection(newId('t'), 'r1', smallStreams)));
  const [first] = connections;
  const [spec] = first ? streamPlan(first.subjects, first.limits).streams : [];
  if (!first || !spec) throw new Error('a plan without streams');
  // The server's two looks lie so close together that one race in a hundred meets it between them.
  for (let round = 0; round < 1000; round++) {
    const stream = { ...spec, name: `${spec.name}_${round}`, subjects: [`${first.subjects.prefix}.${round}.>`] };
    const outcomes: string[] = [];
    await Promise.all(
      connections.map((each) =>
        applyStreamPlan(each, { streams: [stream], consumers: [] }, 'apply', ({ outcome }) => outcomes.push(outcome)),
      ),
    );
    expect(outcomes).toHaveLength(connections.length);
    await first.manager.streams.delete(stream.name);
  }
}, 60_000);

test('whoever loses a race for a stream takes the one that is there as its own', async () => {
  const prefix = newId('t');
  const [winner, loser] = [
    await cleanup.bus(server.url, { prefix }),
    await connection(prefix, 'r1', { ...smallStreams, maxJobs: 7 }),
  ];
  const plan = streamPlan(loser.subjects, loser.limits);
  const notThere = await loser.manager.streams.info(`${prefix}_none`).catch((reason) => reason);
  // It looked just before the other one made them.
  vi.spyOn(loser.manager.streams, 'info').mockRejectedValueOnce(notThere);
  const outcomes = new Map<string, string>();
  await applyStreamPlan(loser, plan, 'apply', ({ what, stream, outcome }) =>
    outcomes.set(`${what} ${stream}`, outcome),
  );
  expect(outcomes.get(`stream ${plan.streams[0]?.name}`)).toBe('changed');
  expect((await winner.queueDepths()).length).toBe(3);
});

test('a stream whose subjects another one has for good is a clear error', async () => {
  const prefix = newId('t');
  const { streams } = await cleanup.manager(server.url);
  await streams.add({ name: newId('other'), subjects: [`${prefix}.v2.encode.r1.>`], storage: StorageType.Memory });
  await expect(cleanup.bus(server.url, { prefix })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(
      new RegExp(`refuses stream ${prefix}_v2_encode_r1: subjects overlap.*; .*another nats\\.prefix$`),
    ),
  });
});

test('changed limits are applied by a process that starts, and not taken back by one that sets up again', async () => {
  const prefix = newId('t');
  const old = await cleanup.bus(server.url, { prefix });
  await cleanup.bus(server.url, { prefix, limits: { maxJobs: 7, ackWaitMs: 12_000 } });
  // As after a reconnect.
  await old.setup();
  const jsm = await cleanup.manager(server.url);
  expect((await jsm.streams.info(`${prefix}_v2_encode_r1`)).config.max_msgs).toBe(7);
  expect((await jsm.consumers.info(`${prefix}_v2_encode_r1`, 'workers')).config.ack_wait).toBe(12_000 * 1e6);
});

test('products are spread over as many streams as are set, and found wherever they lie', async () => {
  const prefix = newId('t');
  const limits = { shards: 3, partBytes: 1024 };
  const bus = await cleanup.bus(server.url, { prefix, limits });
  const jsm = await cleanup.manager(server.url);
  const names = (await jsm.streams.names(`${prefix}.v2.parts.>`).next()).toSorted();
  expect(names).toEqual([0, 1, 2].map((shard) => `${prefix}_v2_parts_${shard}`));
  const shards = new Set<string>();
  for (let index = 0; index < 12; index++) {
    const other = await cleanup.bus(server.url, { prefix, limits });
    const inbox = await other.openInbox(visualTokens);
    shards.add(inbox.address.slice(0, 1));
    const receiving = inbox.receive('a', cleanup.signal())[Symbol.asyncIterator]().next();
    const options = { deadlineMs: inAMinute(), deliverTo: inbox.address, timings: [] };
    await sendTokens(bus, jobKey('a'), index, counted(1, 8), options);
    expect((await receiving).value).toMatchObject({ tile: index });
    const reference = await bus.storeTensor(jobKey('a'), index, counted(100, 8), { deadlineMs: inAMinute() });
    expect((await other.takeTensor(reference, cleanup.signal())).tensor).toEqual(counted(100, 8));
  }
  expect(shards.size).toBeGreaterThan(1);
});

test('a setup says of each stream and consumer whether it was made, changed or kept', async () => {
  const prefix = newId('t');
  const { streams } = await cleanup.manager(server.url);
  cleanup.add(async () => {
    for await (const name of streams.names(`${prefix}.>`)) await streams.delete(name);
  });
  const setUp = async (mode: SetupMode, more: Partial<BusLimits> = {}) => {
    const its = await connection(prefix, 'r1', { ...smallStreams, ...more });
    const plan = streamPlan(its.subjects, its.limits);
    const steps: string[] = [];
    await applyStreamPlan(its, plan, mode, ({ what, stream, outcome }) => steps.push(`${what} ${stream} ${outcome}`));
    return { plan, steps };
  };
  const { plan, steps } = await setUp('apply');
  const all = [...plan.streams.map(({ name }) => `stream ${name}`), ...plan.consumers.map(inWords)];
  expect(steps).toEqual(all.map((each) => `${each} made`));
  expect((await setUp('apply')).steps).toEqual(all.map((each) => `${each} kept`));
  // Who only makes what is missing changes nothing, and does not ask for each stream that is there.
  const [queue] = plan.consumers;
  await streams.delete(queue?.stream ?? '');
  expect((await setUp('create', { maxJobs: 7, ackWaitMs: 12_000 })).steps).toEqual([
    `stream ${queue?.stream} made`,
    ...plan.consumers.map((spec) => `${inWords(spec)} ${spec === queue ? 'made' : 'kept'}`),
  ]);
  const changed = (await setUp('apply', { maxJobs: 8, ackWaitMs: 12_000 })).steps.filter((step) =>
    step.endsWith('changed'),
  );
  expect(changed).toEqual([
    ...plan.consumers.map(({ stream }) => `stream ${stream} changed`),
    ...plan.consumers.filter((spec) => spec !== queue).map((spec) => `${inWords(spec)} changed`),
  ]);
});

function inWords({ stream }: ConsumerSpec): string {
  return `consumer ${stream}`;
}

test('a stream of that name that cannot become ours is a clear error', async () => {
  const prefix = newId('t');
  const jsm = await cleanup.manager(server.url);
  await jsm.streams.add({ name: `${prefix}_v2_encode_r1`, subjects: [`${prefix}.v2.encode.r1.>`], storage: 'file' });
  await expect(cleanup.bus(server.url, { prefix })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(`stream ${prefix}_v2_encode_r1`),
  });
});

test('limits beyond the memory of the server are refused with the sum that is needed', async () => {
  const limits = { maxTombstoneBytes: 2 ** 40 };
  await expect(cleanup.bus(server.url, { limits })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('max_mem'),
  });
});

test.each([
  ['memory', 'max_mem: 20MB', /all streams together need \d+ bytes.*max_mem/],
  ['room for streams', 'max_streams: 2', /a revision of a model takes 9 streams: raise .* max_streams$/],
  [
    'room in a stream',
    'mem_max_stream_bytes: 1MB',
    /the largest stream takes \d{7,} bytes: raise .* mem_max_stream_bytes/,
  ],
])('an account with too little %s is refused with what to raise', async (_, limit, help) => {
  const account = await limitedAccount(cleanup, limit);
  const connected = Bus.connect({ ...account, prefix: 't', revision: 'r1', name: 'test' });
  const refused = connected.then((bus) => {
    cleanup.add(() => bus.close());
    return bus.setup();
  });
  await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(help) });
});

test('a part larger than the server takes in a message is refused at connect, with what to set', async () => {
  await expect(cleanup.bus(server.url, { limits: { partBytes: 2 ** 21 } })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('nats.partBytes'),
  });
});

test('the jobs of one revision do not fill the queue of another', async () => {
  const prefix = newId('t');
  const limits = { maxJobs: 2, queueWaitMs: 50 };
  const [one, other] = [
    await cleanup.bus(server.url, { prefix, revision: 'r1', limits }),
    await cleanup.bus(server.url, { prefix, revision: 'r2', limits }),
  ];
  for (let tile = 0; tile < 2; tile++) await one.publish(encodeQueue, encodeJob('a', tile), toNobody());
  await expect(one.publish(encodeQueue, encodeJob('a', 2), toNobody())).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  await other.publish(encodeQueue, encodeJob('b', 0), toNobody());
  expect((await other.queueDepths())[0]?.waiting).toBe(1);
});

test('the queues of a revision that nobody serves any more are removed, those of a living one are not', async () => {
  const prefix = newId('t');
  const limits = { ...smallStreams, revisionIdleMs: 1000 };
  const dead = await Bus.connect({ url: server.url, prefix, revision: 'dead', name: 'test', limits });
  await dead.setup();
  const living = await cleanup.bus(server.url, { prefix, revision: 'living', limits });
  const tidy = await connection(prefix, 'r1', limits);
  await cleanup.bus(server.url, { prefix, revision: 'r1', limits });
  await new Janitor(tidy).look();
  const jsm = await cleanup.manager(server.url);
  const there = (name: string) =>
    jsm.streams.info(`${prefix}_v2_${name}`).then(
      () => true,
      () => false,
    );
  expect(await there('encode_dead')).toBe(true);
  await dead.close();
  await eventually(async () => {
    await new Janitor(tidy).look();
    return !(await there('encode_dead'));
  }, 'the dead one is removed');
  expect(await there('connect_dead')).toBe(false);
  expect(await there('encode_living')).toBe(true);
  expect((await living.queueDepths()).length).toBe(3);
});

test('what lies for a process that died is removed at the second look, what lies for a living one is not', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const dead = await bus.openInbox(visualTokens);
  const living = await bus.openInbox(visualTokens);
  const jsm = await cleanup.manager(server.url);
  const lying = async () => (await jsm.streams.info(`${prefix}_v2_tokens_0`)).state.messages;
  await dead.close();
  for (const { address } of [dead, living]) {
    const options = { deadlineMs: inAMinute(), deliverTo: address, timings: [] };
    await sendTokens(bus, jobKey('a'), 0, counted(1, 8), options);
  }
  const janitor = new Janitor(await connection(prefix, 'r1', smallStreams));
  await janitor.look();
  expect(await lying()).toBe(2);
  await janitor.look();
  expect(await lying()).toBe(1);
});

async function connection(prefix: string, revision: string, limits: Partial<BusLimits>): Promise<BusConnection> {
  const opened = await BusConnection.open({ url: server.url, prefix, revision, name: 'janitor', limits });
  cleanup.add(() => opened.close());
  return opened;
}

test('names that could not stand in a subject are refused', async () => {
  const options = { url: server.url, name: 'test' };
  for (const [prefix, revision] of [
    ['a.b', 'r1'],
    ['*', 'r1'],
    ['', 'r1'],
    ['a', 'r 1'],
    ['a', '>'],
  ] as const) {
    await expect(Bus.connect({ ...options, prefix, revision })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  }
});
