import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { ExpertShardStatus, LayerShardStatus, Subjects } from '@tessera/protocol';
import { Metrics } from '@tessera/service';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Bus } from '../bus.js';
import { Cleanup, newId } from '../testing/test-bus.js';
import { expertShards, layerShards } from './shard-kinds.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

function shard(shardId: string, epoch = 1) {
  const holdings = { placementEpoch: epoch, held: Buffer.from([255]), draining: false };
  return { ...ExpertShardStatus.fromPartial({ shardId, address: '127.0.0.1:1', group: 'one' }), holdings };
}

/** What an engine is told of the shards: each time all that are there, as `id epoch`, with a `!` on one that drains. */
function watched(bus: Bus, signal = cleanup.signal()): string[][] {
  const told: string[][] = [];
  const inWords = ({ shardId, holdings }: ReturnType<typeof shard>) =>
    `${shardId} ${holdings.placementEpoch}${holdings.draining ? '!' : ''}`;
  bus.watchShards(
    expertShards,
    (shards) => told.push(shards.map((one) => inWords(one as ReturnType<typeof shard>))),
    signal,
  );
  return told;
}

/** Speaks as a shard, word by word. */
async function voice(prefix: string) {
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const subject = new Subjects(prefix, 'r1').experts();
  return {
    say: async (...statuses: Partial<ExpertShardStatus>[]) => {
      for (const status of statuses)
        nc.publish(subject, ExpertShardStatus.encode(ExpertShardStatus.fromPartial(status)).finish());
      await nc.flush();
    },
    garble: () => nc.publish(subject, Uint8Array.of(255, 255)),
  };
}

test('an engine is told who is there whenever that changes, and not at each announcement', async () => {
  const prefix = newId('t');
  const metrics = new Metrics();
  const bus = await cleanup.bus(server.url, { prefix, metrics, limits: { silenceMs: 600_000 } });
  const told = watched(bus);
  const { say, garble } = await voice(prefix);
  await eventually(async () => {
    await say(shard('a'));
    return told.length > 0;
  }, 'the shard is known');
  garble();
  // Neither of these says who speaks, or what it holds.
  await say({ ...shard(''), shardId: '' }, { ...shard('x'), holdings: undefined });
  await say(shard('a'), shard('b'), shard('b'), shard('a', 2), shard('a', 2));
  await say({ ...shard('b'), holdings: { ...shard('b').holdings, draining: true } });
  await eventually(() => told.at(-1)?.includes('b 1!') ?? false, 'the drain is heard');
  expect(told).toEqual([['a 1'], ['a 1', 'b 1'], ['a 2', 'b 1'], ['a 2', 'b 1!']]);
  expect(await metrics.registry.metrics()).not.toMatch(/unknown_fields_total\{message="experts"\}/);
});

test('a shard that falls silent is forgotten, one that speaks is not; a last word says that it drains', async () => {
  const prefix = newId('t');
  // A machine that stands still for a while is not to be taken for a shard that is gone.
  const limits = { announceMs: 50, silenceMs: 1500 };
  const [engine, holder] = await Promise.all([1, 2].map(() => cleanup.bus(server.url, { prefix, limits })));
  const told = watched(engine as Bus);
  const life = new AbortController();
  const { say } = await voice(prefix);
  holder?.announceShard(expertShards, () => shard('stays'), life.signal);
  await eventually(() => told.at(-1)?.join() === 'stays 1', 'the one that stays is known');
  await say(shard('dies'));
  await eventually(() => told.at(-1)?.join() === 'stays 1,dies 1', 'the other one, too');
  await eventually(() => told.at(-1)?.join() === 'stays 1', 'the silent one is forgotten');
  life.abort();
  await eventually(() => told.at(-1)?.join() === 'stays 1!', 'the last word is heard');
  await eventually(() => told.at(-1)?.length === 0, 'it is forgotten in its turn');
});

test('kinds and revisions of shards do not meet, and nobody is told after the end', async () => {
  const prefix = newId('t');
  const [bus, other] = [
    await cleanup.bus(server.url, { prefix }),
    await cleanup.bus(server.url, { prefix, revision: 'r2' }),
  ];
  const ended = new AbortController();
  const [told, toldOther, toldNoMore] = [watched(bus), watched(other), watched(bus, ended.signal)];
  const layers: string[] = [];
  bus.watchShards(layerShards, (shards) => layers.push(...shards.map(({ shardId }) => shardId)), cleanup.signal());
  ended.abort();
  expect(watched(bus, ended.signal)).toEqual([]);
  const piece = { piece: 1, firstLayer: 2, layers: 2, positions: 64n, freePositions: 64n, draining: false };
  const layerShard = {
    ...LayerShardStatus.fromPartial({ shardId: 'layers', address: '127.0.0.1:1' }),
    holdings: piece,
  };
  bus.announceShard(layerShards, () => layerShard, cleanup.signal());
  bus.announceShard(expertShards, () => shard('mine'), cleanup.signal());
  other.announceShard(expertShards, () => shard('theirs'), cleanup.signal());
  await eventually(() => told.length > 0 && toldOther.length > 0 && layers.length > 0, 'each hears of its own');
  expect([told, toldOther, layers]).toEqual([[['mine 1']], [['theirs 1']], ['layers']]);
  expect(toldNoMore).toEqual([]);
});
