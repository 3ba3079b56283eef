import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { EngineStatus, Subjects } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Bus } from '../bus.js';
import { Cleanup, newId, smallStreams } from '../testing/test-bus.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

function status(engineId: string, running = 0): EngineStatus {
  return {
    engineId,
    address: '127.0.0.1:1',
    running,
    waiting: 0,
    maxWaiting: 8,
    draining: false,
    contextTokens: 256,
    maxRunning: 4,
    inbox: '0-abcdefgh',
  };
}

test('engines that announce themselves are listed, with their load', async () => {
  const prefix = newId('t');
  const [gateway, engine, other] = await Promise.all([1, 2, 3].map(() => cleanup.bus(server.url, { prefix })));
  const directory = gateway?.watchEngines(cleanup.signal());
  let running = 1;
  const announcer = engine?.announce(() => status('one', running), cleanup.signal());
  other?.announce(() => status('two'), cleanup.signal());
  await eventually(() => directory?.list().length === 2, 'both are known');
  running = 3;
  announcer?.now();
  await eventually(() => directory?.list().some((one) => one.engineId === 'one' && one.running === 3) ?? false, 'load');
});

test('an engine that drains says so at once, also as its last word', async () => {
  const prefix = newId('t');
  const limits = { announceMs: 60_000, silenceMs: 600_000 };
  const [gateway, engine] = await Promise.all([1, 2].map(() => cleanup.bus(server.url, { prefix, limits })));
  const directory = gateway?.watchEngines(cleanup.signal());
  const changes: boolean[] = [];
  directory?.onChange(({ status: { draining } }) => changes.push(draining));
  const life = new AbortController();
  let engineStatus = status('one');
  const announcer = engine?.announce(() => engineStatus, life.signal);
  await eventually(() => {
    // What was said before the gateway's subscription reached the server was not heard.
    announcer?.now();
    return changes.length > 0;
  }, 'the engine appears');
  engineStatus = { ...engineStatus, draining: true };
  announcer?.now();
  await eventually(() => changes.at(-1) === true, 'the drain is heard');
  expect(directory?.ready).toEqual([]);
  expect(directory?.size).toBe(1);
  engineStatus = status('two');
  life.abort();
  await eventually(() => directory?.list().some((one) => one.engineId === 'two' && one.draining) ?? false, 'last word');
});

test('an engine says nothing behind its last word, and nothing when it has ended before it began', async () => {
  const prefix = newId('t');
  const limits = { announceMs: 20, silenceMs: 600_000 };
  const [gateway, engine] = await Promise.all([1, 2].map(() => cleanup.bus(server.url, { prefix, limits })));
  const directory = gateway?.watchEngines(cleanup.signal());
  const heard: string[] = [];
  directory?.onChange(({ status: { engineId, draining } }) => heard.push(draining ? `${engineId}!` : engineId));
  const life = new AbortController();
  const announcer = engine?.announce(() => status('one'), life.signal);
  await eventually(() => heard.length > 0, 'the engine appears');
  life.abort();
  announcer?.now();
  engine?.announce(() => status('two'), life.signal).now();
  engine?.announce(() => status('three'), cleanup.signal());
  await eventually(() => heard.filter((word) => word === 'three').length > 2, 'others go on');
  expect(heard.filter((word) => word.endsWith('!'))).toEqual(['one!']);
  expect(heard.indexOf('one!')).toBeGreaterThan(heard.lastIndexOf('one'));
  expect(heard).not.toContain('two');
});

test('an announcement without an id, or that is none, is not listed', async () => {
  const prefix = newId('t');
  const gateway = await cleanup.bus(server.url, { prefix });
  const directory = gateway.watchEngines(cleanup.signal());
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const subject = new Subjects(prefix, 'r1').engines();
  await eventually(async () => {
    for (const engineId of ['', 'one']) nc.publish(subject, EngineStatus.encode(status(engineId)).finish());
    nc.publish(subject, Uint8Array.of(255, 255));
    await nc.flush();
    return directory.size > 0;
  }, 'one is known');
  expect(directory.list().map(({ engineId }) => engineId)).toEqual(['one']);
});

test('engines of other revisions and versions are heard of, each kind once, and the own one is none of them', async () => {
  const prefix = newId('t');
  const limits = { announceMs: 100 };
  const [gateway, other] = [
    await cleanup.bus(server.url, { prefix, limits }),
    await cleanup.bus(server.url, { prefix, limits, revision: 'r2' }),
  ];
  gateway.announce(() => status('own'), cleanup.signal());
  for (const engineId of ['two', 'three']) other.announce(() => status(engineId), cleanup.signal());
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const newer = new Subjects(prefix, 'r1').engines().replace('.v2.', '.v77.');
  const saying = setInterval(() => nc.publish(newer, Uint8Array.of(255)), 20);
  cleanup.add(() => clearInterval(saying));
  await eventually(async () => {
    const heard = await gateway.hearForeignEngines(cleanup.signal());
    const kinds = heard.map(({ version, revision }) => `${version} ${revision}`).toSorted();
    return kinds.join() === 'v2 r2,v77 r1';
  }, 'both kinds are heard');
});

test('an engine that falls silent is forgotten', async () => {
  const prefix = newId('t');
  const limits = { announceMs: 50, silenceMs: 300 };
  const gateway = await cleanup.bus(server.url, { prefix, limits });
  const directory = gateway.watchEngines(cleanup.signal());
  const engine = await Bus.connect({
    url: server.url,
    prefix,
    revision: 'r1',
    name: 'engine',
    limits: { ...smallStreams, ...limits },
  });
  engine.announce(() => status('one'), cleanup.signal());
  await eventually(() => directory.list().length === 1, 'the engine is known');
  await engine.close();
  await eventually(() => directory.size === 0, 'the engine is forgotten');
  expect(directory.ready).toEqual([]);
});

test('engines of another revision are not listed', async () => {
  const prefix = newId('t');
  const gateway = await cleanup.bus(server.url, { prefix, revision: 'r1' });
  const other = await cleanup.bus(server.url, { prefix, revision: 'r2' });
  const directory = gateway.watchEngines(cleanup.signal());
  const directoryOfOther = other.watchEngines(cleanup.signal());
  other.announce(() => status('two'), cleanup.signal());
  await eventually(() => directoryOfOther.list().length === 1, 'its own revision knows it');
  expect(directory.list()).toEqual([]);
});

test('waiting for a change ends with the signal', async () => {
  const gateway = await cleanup.bus(server.url);
  const directory = gateway.watchEngines(cleanup.signal());
  const controller = new AbortController();
  const waiting = directory.changed(60_000, controller.signal);
  controller.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
});

test('an engine that did not answer is not offered again before it speaks', async () => {
  const prefix = newId('t');
  const limits = { announceMs: 60_000, silenceMs: 600_000 };
  const [gateway, engine] = await Promise.all([1, 2].map(() => cleanup.bus(server.url, { prefix, limits })));
  const directory = gateway?.watchEngines(cleanup.signal());
  const announcer = engine?.announce(() => status('one'), cleanup.signal());
  await eventually(() => {
    announcer?.now();
    return directory?.list().length === 1;
  }, 'the engine appears');
  directory?.forget('one');
  expect(directory?.list()).toEqual([]);
  announcer?.now();
  await eventually(() => directory?.list().length === 1, 'it is back');
});
