import { createHash, randomBytes } from 'node:crypto';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { type Blob, type DrawingEvent, drawingEvents, maxBytesOf } from '@tessera/protocol';
import { take } from '@tessera/testing/async/collect';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { inAMinute, jobKey } from './testing/messages.js';
import { Cleanup, newId } from './testing/test-bus.js';

let server: NatsServer;
const cleanup = new Cleanup();
const soon = () => ({ deadlineMs: inAMinute() });

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

function media(size: number): { bytes: Uint8Array; digest: string } {
  const bytes = new Uint8Array(randomBytes(size));
  return { bytes, digest: createHash('sha256').update(bytes).digest('hex') };
}

async function parts(prefix: string): Promise<{ messages: number; last_seq: number; consumer_count: number }> {
  return (await (await cleanup.manager(server.url)).streams.info(`${prefix}_v2_parts_0`)).state;
}

function progress(sequence: number, attempt = 1, item = 0): DrawingEvent {
  return {
    key: jobKey('a', attempt, item),
    event: { $case: 'progress', value: { step: sequence + 1, steps: 10 } },
    sequence,
    timing: undefined,
  };
}

test('small media rides in the job, large media in parts, and both come back whole', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const signal = cleanup.signal();
  const small = media(512 * 1024);
  const inline = await bus.holdMedia(small.bytes, small.digest).blob(soon());
  expect(inline.place?.$case).toBe('inline');
  expect(Buffer.compare(await bus.getMedia(inline, signal), small.bytes)).toBe(0);
  const large = media(3_000_001);
  const stored = await bus.holdMedia(large.bytes, large.digest).blob(soon());
  expect(stored).toMatchObject({ place: { $case: 'stored' }, digest: large.digest, size: 3_000_001n });
  const readers = await Promise.all([1, 2, 3].map(() => bus.getMedia(stored, signal)));
  for (const bytes of readers) expect(Buffer.compare(bytes, large.bytes)).toBe(0);
  expect(await parts(prefix)).toMatchObject({ messages: 6, consumer_count: 0 });
});

test('one item in many requests is stored once, and leaves with the last of them', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { bytes, digest } = media(2_000_000);
  const holds = [1, 2, 3].map(() => bus.holdMedia(bytes, digest));
  const blobs = await Promise.all(holds.map((hold) => hold.blob(soon())));
  expect(await parts(prefix)).toMatchObject({ messages: 4, last_seq: 4 });
  for (const blob of blobs) expect(Buffer.compare(await bus.getMedia(blob, cleanup.signal()), bytes)).toBe(0);
  for (const hold of holds.slice(1)) hold.release();
  expect(await holds[0]?.blob(soon())).toEqual(blobs[0]);
  holds[0]?.release();
  await eventually(async () => (await parts(prefix)).messages === 0, 'it left');
  // Within the server's memory of message ids: a picture that is shown again is stored again.
  const again = await bus.holdMedia(bytes, digest).blob(soon());
  expect(Buffer.compare(await bus.getMedia(again, cleanup.signal()), bytes)).toBe(0);
});

test('a hold that is released twice counts once, and what others hold stays', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { bytes, digest } = media(1_000_000);
  const [leaving, staying] = [bus.holdMedia(bytes, digest), bus.holdMedia(bytes, digest)];
  const blob = await leaving.blob(soon());
  leaving.release();
  leaving.release();
  // Nothing is put anew, so nothing was dropped before.
  expect(await staying.blob(soon())).toEqual(blob);
  expect(await parts(prefix)).toMatchObject({ messages: 2, last_seq: 2 });
  // One that holds it from now on has its own, whatever the first does.
  staying.release();
  const later = bus.holdMedia(bytes, digest);
  const again = await later.blob(soon());
  await eventually(async () => (await parts(prefix)).messages === 2, 'the first ones leave');
  expect(Buffer.compare(await bus.getMedia(again, cleanup.signal()), bytes)).toBe(0);
});

test('what is released while it is stored, or before, leaves all the same', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { bytes, digest } = media(1_000_000);
  const hold = bus.holdMedia(bytes, digest);
  const storing = hold.blob(soon());
  hold.release();
  expect((await storing).place?.$case).toBe('stored');
  await eventually(async () => (await parts(prefix)).messages === 0, 'it leaves');
  await hold.blob(soon());
  expect(await parts(prefix)).toMatchObject({ messages: 0, last_seq: 4 });
});

test('two gateways that show one picture do not take it from each other', async () => {
  const prefix = newId('t');
  const [one, other] = [await cleanup.bus(server.url, { prefix }), await cleanup.bus(server.url, { prefix })];
  const { bytes, digest } = media(1_000_000);
  const hold = one.holdMedia(bytes, digest);
  await hold.blob(soon());
  const blob = await other.holdMedia(bytes, digest).blob(soon());
  hold.release();
  await eventually(async () => (await parts(prefix)).messages === 2, 'the first one left');
  expect(Buffer.compare(await one.getMedia(blob, cleanup.signal()), bytes)).toBe(0);
});

test('media whose parts are gone is an error that a retry may mend, and is stored again when asked for', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { bytes, digest } = media(2_000_000);
  const hold = bus.holdMedia(bytes, digest);
  const blob = await hold.blob(soon());
  await (await cleanup.manager(server.url)).streams.purge(`${prefix}_v2_parts_0`);
  await expect(bus.getMedia(blob, cleanup.signal())).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  const again = await hold.blob({ ...soon(), again: true });
  expect(Buffer.compare(await bus.getMedia(again, cleanup.signal()), bytes)).toBe(0);
});

test('bytes that do not have the digest are not handed out', async () => {
  const bus = await cleanup.bus(server.url);
  const { bytes, digest } = media(1_000_000);
  const wrong = bytes.map((byte) => byte ^ 1);
  const blob = await bus.holdMedia(wrong, digest).blob(soon());
  await expect(bus.getMedia(blob, cleanup.signal())).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  const inline: Blob = { place: { $case: 'inline', value: bytes.subarray(1) }, digest, size: 999_999n };
  await expect(bus.getMedia(inline, cleanup.signal())).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
});

test('a job that does not say where its media is names media that is missing', async () => {
  const bus = await cleanup.bus(server.url);
  const nowhere: Blob = { place: undefined, digest: media(1).digest, size: 1n };
  await expect(bus.getMedia(nowhere, cleanup.signal())).rejects.toMatchObject({ code: 'MEDIA_MISSING' });
});

test('media of exactly the limit is taken, a byte more is refused', async () => {
  const bus = await cleanup.bus(server.url, { limits: { maxMediaBytes: 2_000_000 } });
  const most = media(2_000_000);
  const blob = await bus.holdMedia(most.bytes, most.digest).blob(soon());
  expect(await bus.getMedia(blob, cleanup.signal())).toHaveLength(2_000_000);
  const { bytes, digest } = media(2_000_001);
  expect(() => bus.holdMedia(bytes, digest)).toThrow(
    expect.objectContaining({ code: 'MEDIA_TOO_LARGE', message: expect.stringContaining('2000000') }),
  );
});

test('where there is no room an upload waits for it, and ends when its request does', async () => {
  let full = 0;
  const maxBytes = { ...maxBytesOf(() => 1e6), parts: 1_500_000 };
  const bus = await cleanup.bus(server.url, { limits: { maxBytes }, observer: { queueFull: () => full++ } });
  const [one, other, third] = [media(1_000_000), media(1_000_000), media(1_000_000)];
  const first = bus.holdMedia(one.bytes, one.digest);
  await first.blob(soon());
  const leaving = new AbortController();
  const cancelled = bus.holdMedia(third.bytes, third.digest).blob({ ...soon(), signal: leaving.signal });
  await eventually(() => full > 0, 'there is no room');
  leaving.abort();
  await expect(cancelled).rejects.toMatchObject({ code: 'CANCELLED' });
  const waiting = bus.holdMedia(other.bytes, other.digest).blob(soon());
  first.release();
  expect(Buffer.compare(await bus.getMedia(await waiting, cleanup.signal()), other.bytes)).toBe(0);
});

test('a drawing is delivered in order, each event once, the newest attempt only', async () => {
  const bus = await cleanup.bus(server.url);
  const inbox = await bus.openInbox(drawingEvents);
  const reading = take(inbox.receive('a', cleanup.signal()), 6);
  const options = { ...soon(), deliverTo: inbox.address };
  for (const sequence of [0, 2, 1, 1]) await bus.send(drawingEvents, progress(sequence), options);
  await bus.send(drawingEvents, progress(0, 1, 1), options);
  await bus.send(drawingEvents, progress(0, 2), options);
  await bus.send(drawingEvents, progress(3, 1), options);
  await bus.send(drawingEvents, progress(1, 2), options);
  const seen = (await reading).map((event) =>
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
