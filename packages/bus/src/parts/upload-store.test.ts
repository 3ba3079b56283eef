import { createHash, randomBytes } from 'node:crypto';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { Modality, maxBytesOf, Subjects } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { inAMinute } from '../testing/messages.js';
import { Cleanup, newId } from '../testing/test-bus.js';
import type { Upload } from './upload-store.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(async () => {
  await cleanup.run();
});
afterAll(async () => {
  await server.stop();
});

function upload(size: number): Upload {
  const bytes = randomBytes(size);
  const digest = createHash('sha256').update(bytes).digest('hex');
  return { bytes, digest, modality: Modality.IMAGE, mimeType: 'image/png' };
}

const soon = () => ({ deadlineMs: inAMinute() });

test.each([1, 512 * 1024, 1_500_000])(
  'an upload of %i bytes is found by any gateway, whatever its revision',
  async (size) => {
    const prefix = newId('t');
    const one = await cleanup.bus(server.url, { prefix, revision: 'r1' });
    const other = await cleanup.bus(server.url, { prefix, revision: 'r2' });
    const sent = upload(size);
    const expiresAtMs = await one.upload(sent, soon());
    const found = await other.findUpload(sent.digest, cleanup.signal());
    expect(found).toMatchObject({ size, modality: Modality.IMAGE, mimeType: 'image/png' });
    expect(Math.abs((found?.expiresAtMs ?? 0) - expiresAtMs)).toBeLessThan(60_000);
    expect(Buffer.compare((await found?.read(cleanup.signal())) ?? Buffer.alloc(0), sent.bytes)).toBe(0);
    expect(await other.findUpload(upload(1).digest, cleanup.signal())).toBeUndefined();
  },
);

test('an upload goes when it is old; one that comes again lives on, and takes no more room', async () => {
  const bus = await cleanup.bus(server.url, { limits: { uploadMs: 1500 } });
  const [old, young] = [upload(1000), upload(1000)];
  await bus.upload(old, soon());
  await bus.upload(young, soon());
  const bytes = async () => (await bus.streamStates()).find(({ name }) => name.includes('uploads'))?.bytes ?? 0;
  const before = await bytes();
  const again = setInterval(() => void bus.upload(young, soon()).catch(() => undefined), 200);
  cleanup.add(() => clearInterval(again));
  await eventually(
    async () => (await bus.findUpload(old.digest, cleanup.signal())) === undefined,
    'the old one is gone',
  );
  expect(await bus.findUpload(young.digest, cleanup.signal())).toBeDefined();
  expect(await bytes()).toBeLessThanOrEqual(before);
});

test('without room an upload is refused, leaves nothing, and those that are there stay', async () => {
  const limits = { maxBytes: maxBytesOf(() => 1e6), partBytes: 100_000, queueWaitMs: 100 };
  const bus = await cleanup.bus(server.url, { limits });
  const first = upload(700_000);
  await bus.upload(first, soon());
  const held = async () => (await bus.streamStates()).find(({ name }) => name.includes('uploads'))?.messages;
  const before = await held();
  // Its parts and its head.
  expect(before).toBe(8);
  await expect(bus.upload(upload(700_000), soon())).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    message: expect.stringContaining('no room for more uploads'),
  });
  expect(await held()).toBe(before);
  const found = await bus.findUpload(first.digest, cleanup.signal());
  expect(await found?.read(cleanup.signal())).toHaveLength(700_000);
  await expect(bus.upload(upload(1_000_000), soon())).rejects.toMatchObject({ code: 'MEDIA_TOO_LARGE' });
});

test('gateways that cut otherwise do not spoil each other what is there', async () => {
  const prefix = newId('t');
  // The last to start says what the streams take.
  const fine = await cleanup.bus(server.url, { prefix, limits: { partBytes: 4096 } });
  const coarse = await cleanup.bus(server.url, { prefix });
  const sent = upload(600_000);
  await coarse.upload(sent, soon());
  const found = await fine.findUpload(sent.digest, cleanup.signal());
  await fine.upload(sent, soon());
  // Found before the second came, and read after it.
  expect(Buffer.compare((await found?.read(cleanup.signal())) ?? Buffer.alloc(0), sent.bytes)).toBe(0);
  const again = await coarse.findUpload(sent.digest, cleanup.signal());
  expect(await again?.read(cleanup.signal())).toHaveLength(600_000);
});

test.each([
  ['other bytes', () => randomBytes(10)],
  ['a byte more', (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc(1)])],
  ['a byte less', (bytes: Uint8Array) => bytes.subarray(1)],
  ['no bytes', () => undefined],
])('where its part is %s there is no upload', async (_, spoilt) => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const sent = upload(10);
  await bus.upload(sent, soon());
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const part = new Subjects(prefix, 'r1').uploadPart(0, sent.digest, 512 * 1024, 0);
  const payload = spoilt(sent.bytes);
  if (payload === undefined)
    await (await jetstreamManager(nc)).streams.purge(`${prefix}_v2_uploads_0`, { filter: part });
  else await jetstream(nc).publish(part, payload);
  const found = await bus.findUpload(sent.digest, cleanup.signal());
  await expect(found?.read(cleanup.signal())).rejects.toMatchObject({ code: 'MEDIA_MISSING' });
});

test('an upload that comes again and fails leaves the one that is there', async () => {
  const bus = await cleanup.bus(server.url);
  const sent = upload(10);
  await bus.upload(sent, soon());
  await expect(bus.upload(sent, { deadlineMs: Date.now() - 60_000 })).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
  const found = await bus.findUpload(sent.digest, cleanup.signal());
  expect(Buffer.compare((await found?.read(cleanup.signal())) ?? Buffer.alloc(0), sent.bytes)).toBe(0);
});
