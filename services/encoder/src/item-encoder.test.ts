import type { Preprocessing } from '@tessera/bundle';
import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { BatchedGraph, createSession, type Session } from '@tessera/inference';
import { defaultMediaLimits, SvgLane, type WhileWaiting } from '@tessera/media';
import { collect } from '@tessera/testing/async/collect';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { slowSvg } from '@tessera/testing/pictures/slow-svg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encoderPorts } from './graph.js';
import { type EncodeCall, type EncodedTile, ItemEncoder, type ItemEncoderOptions } from './item-encoder.js';

// By rounding at most: see "What is equal to what" in docs/architecture.md.
const rounding = 1e-4;

const never = new AbortController().signal;
/** Wider than high; drawn at 512x205. */
const wide = Buffer.from(
  '<svg xmlns="http://www.w3.org/2000/svg" width="160" height="64"><rect width="80" height="64" fill="red"/></svg>',
);

const svgLane = new SvgLane();
let session: Session;
let preprocessing: Preprocessing;
let apple: Uint8Array;

function encoderOf(
  changes: Partial<Preprocessing> = {},
  options: Partial<ItemEncoderOptions> = {},
  waitMs = 2,
): ItemEncoder {
  const ports = encoderPorts({ inputSize: { height: 96, width: 96 }, patches: 36, width: 256 });
  const graph = new BatchedGraph(session, { ...ports, what: 'tiles', maxBatch: 4, waitMs, maxWaiting: 16 });
  return new ItemEncoder(graph, {
    preprocessing: { ...preprocessing, ...changes },
    limits: defaultMediaLimits,
    maxPixelsInFlight: 1_000_000,
    svgLane,
    tilesAtOnce: 2,
    ...options,
  });
}

async function encodeAll(encoder: ItemEncoder, call: Partial<EncodeCall> & { bytes: Uint8Array }) {
  return await collect(encoder.encode({ signal: never, ...call }));
}

const inTiles = (): Partial<Preprocessing> => ({
  highResolution: { mode: 'tile', tileSize: 96, maxTiles: 4, thumbnail: true },
});

beforeAll(async () => {
  const bundle = await demoBundle();
  preprocessing = bundle.manifest.preprocessing as Preprocessing;
  session = await createSession(bundle.file(bundle.stage('encoder').graph), { threads: 1, device: 'cpu' });
  apple = samplePicture('apple');
});

afterAll(async () => {
  svgLane.close();
  await session.release();
});

test('a picture file becomes the reference features', async () => {
  const [tile, ...others] = await encodeAll(encoderOf(), { bytes: apple });
  expect(others).toEqual([]);
  expect(tile).toMatchObject({ tiles: 1, tile: { index: 0, marker: 'none' } });
  expect(relativeError((tile as EncodedTile).features, await goldenTensor('apple.features'))).toBeLessThan(2e-3);
});

test('a picture in tiles comes in their order, and a range of them is the same tiles', async () => {
  const encoder = encoderOf(inTiles());
  const all = await encodeAll(encoder, { bytes: wide });
  expect(all.map(({ tile }) => tile.marker)).toEqual(['thumbnail', 'tile', 'tile']);
  expect(all.map(({ tile }) => tile.index)).toEqual([0, 1, 2]);
  const range = await encodeAll(encoder, { bytes: wide, range: { firstTile: 1, tileCount: 2 } });
  expect(range).toHaveLength(2);
  for (const [at, { features }] of range.entries()) {
    expect(relativeError(features, (all[at + 1] as EncodedTile).features)).toBeLessThan(rounding);
  }
  expect(range[0]?.features.data).not.toEqual(range[1]?.features.data);
});

test.each([
  ['past the end', { firstTile: 2, tileCount: 2 }],
  ['empty', { firstTile: 0, tileCount: 0 }],
])('refuses a range that is %s', async (_, range) => {
  await expect(encodeAll(encoderOf(inTiles()), { bytes: wide, range })).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
  });
});

test('refuses media of another size than was planned with, from the header', async () => {
  const expectedSize = { width: 64, height: 160 };
  await expect(encodeAll(encoderOf(), { bytes: wide, expectedSize })).rejects.toMatchObject({
    code: 'MEDIA_CORRUPT',
    message: 'the media is 512x205 pixels, but its tiles were planned for 64x160',
  });
});

test('a cut picture is refused, and what it held is free for the next', async () => {
  // Room for one picture of 96x96 at a time.
  const encoder = encoderOf({}, { maxPixelsInFlight: 10_000 });
  const cut = apple.subarray(0, apple.length / 2);
  await expect(encodeAll(encoder, { bytes: cut })).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
  // More pixels in turn than may be decoded at one time: each must have given its own back, the drawings too.
  for (const bytes of [apple, wide, wide, apple, apple]) expect(await encodeAll(encoder, { bytes })).toHaveLength(1);
});

test('what waits for memory says so, and gives back what comes too late for it', async () => {
  // A pixel less than two pictures have.
  const encoder = encoderOf({}, { maxPixelsInFlight: 2 * 96 * 96 - 1 });
  const first = encoder.encode({ bytes: apple, signal: never });
  await first.next();
  let going = 0;
  const counted: WhileWaiting = async (wait) => {
    going++;
    return await wait.finally(() => going--);
  };
  const second = encodeAll(encoder, { bytes: apple, whileWaiting: counted });
  const cancelled: WhileWaiting = async (wait) => {
    going++;
    await wait;
    throw new Error('the job was cancelled meanwhile');
  };
  const third = encodeAll(encoder, { bytes: apple, whileWaiting: cancelled });
  third.catch(() => undefined);
  await eventually(() => going === 2, 'both wait');
  await first.return(undefined);
  const [waited] = await second;
  expect((waited as EncodedTile).queueMs).toBeGreaterThan(0);
  await expect(third).rejects.toThrow('cancelled meanwhile');
  expect(await encodeAll(encoder, { bytes: apple })).toHaveLength(1);
});

test('tiles of an item that ends before they are there are no longer waited for', async () => {
  // Whoever waits for a tile that was announced waits for ever here.
  const encoder = encoderOf(inTiles(), { maxPixelsInFlight: 10_000 }, 2 ** 31 - 1);
  await expect(encodeAll(encoder, { bytes: apple.subarray(0, apple.length / 2) })).rejects.toThrow();
  const first = encoder.encode({ bytes: apple, signal: never });
  await first.next();
  const leaving = new AbortController();
  let waits = 0;
  const whileWaiting: WhileWaiting = async (wait) => {
    waits++;
    const memory = await wait;
    leaving.abort();
    return memory;
  };
  const drawing = encodeAll(encoder, { bytes: wide, signal: leaving.signal, whileWaiting });
  const left = expect(drawing).rejects.toThrow();
  await eventually(() => waits === 1, 'the drawing waits for memory');
  await first.return(undefined);
  await left;
  expect(await encodeAll(encoder, { bytes: apple })).toHaveLength(1);
});

test('slow drawings hold neither memory nor the places of others', async () => {
  const lane = new SvgLane({ processes: 1, maxWaiting: 8 });
  // Each of the drawings would fill the memory alone.
  const limits = { ...defaultMediaLimits, svgCpuMs: 600_000 };
  const encoder = encoderOf({}, { maxPixelsInFlight: 2048 * 2048, svgLane: lane, limits });
  const stop = new AbortController();
  let waiting = 0;
  const whileWaiting: WhileWaiting = async (wait) => {
    waiting++;
    return await wait.finally(() => waiting--);
  };
  const drawings = ['red', 'lime', 'blue'].map((color) =>
    encodeAll(encoder, { bytes: slowSvg(color), signal: stop.signal, whileWaiting }),
  );
  for (const drawing of drawings) drawing.catch(() => undefined);
  await eventually(() => lane.active === 1 && waiting === 2, 'one is drawn and two wait');
  expect(await encodeAll(encoder, { bytes: apple })).toHaveLength(1);
  expect([lane.active, waiting]).toEqual([1, 2]);
  stop.abort();
  await Promise.all(drawings.map((drawing) => expect(drawing).rejects.toMatchObject({ code: 'CANCELLED' })));
  expect(await encodeAll(encoder, { bytes: wide })).toHaveLength(1);
  lane.close();
});

test('a drawing that takes too much is refused for good', async () => {
  const limits = { ...defaultMediaLimits, svgCpuMs: 100 };
  await expect(encodeAll(encoderOf({}, { limits }), { bytes: slowSvg('red') })).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    retryable: false,
  });
});

test('stops when the caller stops taking tiles, and when it is cancelled', async () => {
  const encoder = encoderOf(inTiles());
  for await (const { tile } of encoder.encode({ bytes: wide, signal: never })) {
    expect(tile.index).toBe(0);
    break;
  }
  await expect(encodeAll(encoder, { bytes: wide, signal: AbortSignal.abort() })).rejects.toThrow();
  expect(await encodeAll(encoder, { bytes: wide })).toHaveLength(3);
});
