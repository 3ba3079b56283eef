import { createHash, randomBytes } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { Objm } from '@nats-io/obj';
import { connect } from '@nats-io/transport-node';
import type { Blob, MediaEvent } from '@tessera/protocol';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Cleanup, eventually, inAMinute, jobKey, newId, take } from './bus-test-support.js';
import { type NatsServer, startNatsServer } from './nats-server.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

function media(size: number): { bytes: Uint8Array; digest: string } {
  const bytes = new Uint8Array(randomBytes(size));
  return { bytes, digest: createHash('sha256').update(bytes).digest('hex') };
}

async function connection() {
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  return nc;
}

function progress(sequence: number, attempt = 1, item = 0): MediaEvent {
  return {
    key: jobKey('a', attempt, item),
    event: { $case: 'progress', value: { drawing: item, step: sequence + 1, steps: 10 } },
    sequence,
    timing: undefined,
  };
}

test('small media rides in the job, large media in the object store, and both come back whole', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const signal = cleanup.signal();
  const small = media(512 * 1024);
  const inline = await bus.putMedia(small.bytes, small.digest);
  expect(inline.place?.$case).toBe('inline');
  expect(Buffer.compare(await bus.getMedia(inline, signal), small.bytes)).toBe(0);
  const large = media(3_000_001);
  const stored = await bus.putMedia(large.bytes, large.digest);
  expect(stored).toEqual({ place: { $case: 'object', value: large.digest }, digest: large.digest, size: 3_000_001n });
  const readers = await Promise.all([1, 2, 3].map(() => bus.getMedia(stored, signal)));
  for (const bytes of readers) expect(Buffer.compare(bytes, large.bytes)).toBe(0);
  const jsm = await jetstreamManager(await connection());
  expect((await jsm.streams.info(`OBJ_${prefix}_blobs`)).state.consumer_count).toBe(0);
});

test('one object put by many at once can be read, and is not put again', async () => {
  const prefix = newId('t');
  const [first, ...others] = [await cleanup.bus(server.url, { prefix }), await cleanup.bus(server.url, { prefix })];
  const { bytes, digest } = media(2_000_000);
  const blobs = await Promise.all([first, first, ...others, ...others].map((bus) => bus.putMedia(bytes, digest)));
  for (const blob of blobs) expect(Buffer.compare(await first.getMedia(blob, cleanup.signal()), bytes)).toBe(0);
  const jsm = await jetstreamManager(await connection());
  const { state } = await jsm.streams.info(`OBJ_${prefix}_blobs`);
  await first.putMedia(bytes, digest);
  expect((await jsm.streams.info(`OBJ_${prefix}_blobs`)).state.last_seq).toBe(state.last_seq);
});

test('media that is gone, or whose chunks are gone, is an error that a retry may mend, not a wait', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { bytes, digest } = media(2_000_000);
  const blob: Blob = { place: { $case: 'object', value: digest }, digest, size: 2_000_000n };
  await expect(bus.getMedia(blob, cleanup.signal())).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  await bus.putMedia(bytes, digest);
  const jsm = await jetstreamManager(await connection());
  await jsm.streams.purge(`OBJ_${prefix}_blobs`, { filter: `$O.${prefix}_blobs.C.>` });
  await expect(bus.getMedia(blob, cleanup.signal())).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  expect((await jsm.streams.info(`OBJ_${prefix}_blobs`)).state.consumer_count).toBe(0);
});

test('bytes that do not have the digest are not handed out', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { bytes, digest } = media(1_000_000);
  const nc = await connection();
  const store = await new Objm(nc).open(`${prefix}_blobs`);
  await store.putBlob(
    { name: digest },
    bytes.map((byte) => byte ^ 1),
  );
  const blob: Blob = { place: { $case: 'object', value: digest }, digest, size: 1_000_000n };
  await expect(bus.getMedia(blob, cleanup.signal())).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  const inline: Blob = { place: { $case: 'inline', value: bytes.subarray(1) }, digest, size: 999_999n };
  await expect(bus.getMedia(inline, cleanup.signal())).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
});

test('media over the limit is refused, and a full store says so', async () => {
  const bus = await cleanup.bus(server.url, { limits: { maxMediaBytes: 2_000_000, maxBlobBytes: 1_500_000 } });
  const tooLarge = media(2_000_001);
  await expect(bus.putMedia(tooLarge.bytes, tooLarge.digest)).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: expect.stringContaining('2000000'),
  });
  const one = media(1_000_000);
  const other = media(1_000_000);
  await bus.putMedia(one.bytes, one.digest);
  await expect(bus.putMedia(other.bytes, other.digest)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
});

test('a drawing is delivered in order, each event once, the newest attempt only', async () => {
  const bus = await cleanup.bus(server.url);
  const options = { deadlineMs: inAMinute() };
  for (const sequence of [0, 2, 1, 1]) await bus.publishMediaEvent(progress(sequence), options);
  await bus.publishMediaEvent(progress(0, 1, 1), options);
  await bus.publishMediaEvent(progress(0, 2), options);
  await bus.publishMediaEvent(progress(3, 1), options);
  await bus.publishMediaEvent(progress(1, 2), options);
  const events = await take(bus.media('a', cleanup.signal()), 6);
  const seen = events.map((event) =>
    'sequence' in event ? [event.key?.item, event.key?.attempt, event.sequence] : [],
  );
  expect(seen).toEqual([
    [0, 1, 0],
    [0, 1, 1],
    [0, 1, 2],
    [1, 1, 0],
    [0, 2, 0],
    [0, 2, 1],
  ]);
});

test('reading media ends with the signal and leaves no consumer behind', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const jsm = await jetstreamManager(await connection());
  const consumers = async () => (await jsm.streams.info(`${prefix}_media`)).state.consumer_count;
  const controller = new AbortController();
  const reading = take(bus.media('a', controller.signal), 1);
  await eventually(async () => (await consumers()) === 1, 'a consumer reads');
  controller.abort();
  expect(await reading).toEqual([]);
  await eventually(async () => (await consumers()) === 0, 'the consumer is gone');
});
