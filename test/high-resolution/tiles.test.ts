import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { decodeMedia, planTiles, preprocessTile } from '@tessera/media';
import {
  EncoderServiceDefinition,
  type Float32Tensor,
  type Segment,
  SegmentRole,
  TensorCollector,
} from '@tessera/protocol';
import { createClient } from '@tessera/service';
import { demoModelDir, samplePicture } from '@tessera/testing/demo-model/files';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { mediaTokens, RawChat } from '../support/raw-chat.js';

const tokensPerTile = 9;
const maxTiles = 6;
const tilesPerJob = 2;

let folder: string;
let deployment: Deployment;

/** The demo model, but for one choice of its configuration: high resolution by tiles. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-tiles-'));
  const model = join(folder, 'demo-tiles');
  cpSync(demoModelDir, model, { recursive: true });
  const file = join(model, 'preprocessor_config.json');
  const config = JSON.parse(readFileSync(file, 'utf8'));
  config.high_resolution = { ...config.high_resolution, mode: 'tile', max_tiles: maxTiles };
  writeFileSync(file, JSON.stringify(config));
  deployment = await deploy({ model, flags: { gateway: ['--encode-tiles-per-job', String(tilesPerJob)] } });
});
afterAll(async () => {
  await deployment?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A picture of noise does not compress: over 512 KiB it rides in the object store, not in the job. */
function picture(width: number, height: number): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
  return sharp({ create: { width, height, channels: 3, background: '#fff', noise } })
    .png()
    .toBuffer();
}

test.each([
  { shape: 'wide', width: 300, height: 100, views: 1 + 3 },
  { shape: 'tall', width: 100, height: 300, views: 1 + 3 },
  { shape: 'large', width: 900, height: 600, views: 1 + 6 },
  { shape: 'square', width: 60, height: 60, views: 1 },
])('a $shape picture becomes $views views, each with its own positions', async ({ width, height, views }) => {
  const bytes = await picture(width, height);
  using chat = new RawChat(deployment.gateway);
  chat.ask('What is this?', ['a']).media('a', bytes).close();
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  const arrived = chat.events.filter(({ $case }) => $case === 'segmentArrived').map(({ value }) => value);
  expect(arrived).toHaveLength(views);
  expect(new Set(arrived.map((tile) => ('segment' in tile ? tile.segment : -1)))).toEqual(
    new Set(Array.from({ length: views }, (_, tile) => tile)),
  );
  const { usage } = await chat.event('finished');
  expect(mediaTokens(usage)).toBe(views * tokensPerTile);
});

test('a picture of more tiles than one job holds fans out over jobs', async () => {
  const jobs = () => deployment.metric('encoder', 'tessera_jobs_total', { kind: 'encode', outcome: 'done' });
  const before = await jobs();
  await ask(deployment.gateway, [{ says: [await picture(900, 600), 'What is this?'] }]);
  // The last job may be settled a moment after its tiles have answered.
  await expect.poll(async () => (await jobs()) - before).toBe(Math.ceil(7 / tilesPerJob));
});

test('a small picture answers as it does without tiles', async () => {
  const answer = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'What is this?'] }]);
  expect(answer.text).toBe('This is a red apple.');
});

test('the same picture gives the same answer each time, whichever tile comes first', async () => {
  const bytes = await picture(700, 500);
  const answers = await Promise.all([1, 2, 3].map(() => ask(deployment.gateway, [{ says: [bytes, 'What is this?'] }])));
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
});

test('the encoder alone gives the views in order, and each is what its own pixels give', async () => {
  const bytes = await picture(300, 100);
  const { manifest } = await readBundle(deployment.bundleDir);
  const preprocessing = manifest.preprocessing;
  if (preprocessing === undefined) throw new Error('the demo model sees');
  const client = createClient(EncoderServiceDefinition, deployment.stack.address('encoder')?.grpc ?? '');
  const encode = async (file: Uint8Array) => {
    const views: {
      readonly segment: Segment | undefined;
      readonly segments: number;
      readonly features: Float32Tensor;
    }[] = [];
    const collector = new TensorCollector(36 * 256, 'features');
    const part = { name: 'a', data: file, last: true };
    for await (const { segment, segments, features: piece } of client.encode(
      (async function* () {
        yield { mediaPart: part };
      })(),
      { timeoutMs: 120_000 },
    )) {
      const features = collector.add(piece);
      if (features === undefined) throw new Error('the features have more than one part');
      views.push({ segment, segments, features });
    }
    return views;
  };
  try {
    const views = await encode(bytes);
    const grid = { columns: 3, rows: 1 };
    expect(views.map(({ segment }) => segment)).toMatchObject([
      { index: 0, role: SegmentRole.THUMBNAIL, place: { columns: 1, rows: 1, column: 0, row: 0 } },
      { index: 1, role: SegmentRole.PART, place: { ...grid, column: 0, row: 0 } },
      { index: 2, role: SegmentRole.PART, place: { ...grid, column: 1, row: 0 } },
      { index: 3, role: SegmentRole.PART, place: { ...grid, column: 2, row: 0 } },
    ]);
    expect(views.map(({ segments }) => segments)).toEqual([4, 4, 4, 4]);
    const raster = await decodeMedia(bytes);
    for (const tile of planTiles({ width: 300, height: 100 }, preprocessing).tiles) {
      // The view's own pixels as a picture of the model's size are one view, and must have the same features.
      const pixels = await preprocessTile(raster, tile, preprocessing);
      const [alone] = await encode(await asPng(pixels.data, preprocessing.size));
      const expected = alone?.features.data ?? new Float32Array();
      const found = views[tile.index]?.features.data ?? new Float32Array();
      const largest = Math.max(...expected.map(Math.abs));
      expect(Math.max(...found.map((value, at) => Math.abs(value - (expected[at] ?? 0))))).toBeLessThan(2e-3 * largest);
    }
  } finally {
    client.close();
  }
});

/** Pixel values of -1 to 1, channel by channel, as a file. */
function asPng(values: Float32Array, { width, height }: { width: number; height: number }): Promise<Buffer> {
  const plane = width * height;
  const rgb = Buffer.alloc(plane * 3);
  for (let at = 0; at < plane; at++) {
    for (let channel = 0; channel < 3; channel++) {
      rgb[at * 3 + channel] = Math.round(((values[channel * plane + at] ?? 0) + 1) * 127.5);
    }
  }
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}
