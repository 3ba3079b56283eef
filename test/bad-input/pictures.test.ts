import { samplePicture } from '@tessera/testing/demo-model/files';
import type { CallEnd } from '@tessera/testing/grpc/call-end';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { leavesNoTrace } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { plainPng, pngThatClaims } from '../support/pictures.js';
import { RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy({ flags: { encoder: ['--media-svg-cpu-ms', '1000'] } });
});
afterAll(async () => {
  await deployment?.stop();
});

async function askAbout(picture: Uint8Array): Promise<CallEnd> {
  using chat = new RawChat(deployment.gateway);
  chat.ask('What is this?', ['shown']);
  if (picture.length === 0) chat.part('shown', picture);
  return await chat.media('shown', picture).close().ended;
}

const refused: readonly [name: string, code: string, picture: () => Uint8Array | Promise<Uint8Array>][] = [
  ['bytes that are no picture', 'MEDIA_NOT_RECOGNISED', () => Buffer.from('Dear Sir or Madam, this is a letter.')],
  ['no bytes at all', 'MEDIA_EMPTY', () => new Uint8Array(0)],
  ['a film', 'MEDIA_NOT_RECOGNISED', () => Buffer.from('\0\0\0\x18ftypisom\0\0\x02\0isommp42')],
  ['a PNG cut in its header', 'MEDIA_CORRUPT', () => samplePicture('apple').subarray(0, 20)],
  ['a picture of 0x0', 'MEDIA_EMPTY', () => pngThatClaims(0, 0)],
  ['a picture one row over the pixel limit', 'MEDIA_TOO_LARGE', () => pngThatClaims(8000, 8001)],
  ['an SVG of no height', 'MEDIA_EMPTY', () => svg(100, 0)],
];

describe('refused by the gateway from the header', () => {
  test.each(refused)('%s is %s', async (_, code, picture) => {
    const jobsBefore = await deployment.metric('gateway', 'tessera_bytes_total', { kind: 'encode' });
    const end = await leavesNoTrace(deployment, async () => {
      const ended = await askAbout(await picture());
      // Nothing went to an encoder, so nothing was decoded.
      expect(await deployment.metric('gateway', 'tessera_bytes_total', { kind: 'encode' })).toBe(jobsBefore);
      return ended;
    });
    expect(end).toMatchObject({ status: 'INVALID_ARGUMENT', code, domain: 'tessera' });
    expect(end.message).toContain('media "shown"');
  });

  test('the error names the limit', async () => {
    const { message } = await askAbout(await pngThatClaims(8000, 8001));
    expect(message).toContain('8000x8001 = 64008000 pixels; the limit is 64000000');
  });
});

test('a picture cut in the midst of its pixels is MEDIA_CORRUPT', async () => {
  const whole = samplePicture('apple');
  const end = await leavesNoTrace(deployment, () => askAbout(whole.subarray(0, Math.floor(whole.length / 2))));
  expect(end).toMatchObject({ status: 'INVALID_ARGUMENT', code: 'MEDIA_CORRUPT', domain: 'tessera' });
  expect(end.message).toBe('media "shown": the PNG picture is cut or damaged');
});

test('a picture whose header lies about its size is MEDIA_CORRUPT', async () => {
  const end = await leavesNoTrace(deployment, async () => askAbout(await pngThatClaims(300, 200)));
  expect(end).toMatchObject({ status: 'INVALID_ARGUMENT', code: 'MEDIA_CORRUPT' });
});

test('one bad picture among good ones is the one that is named', async () => {
  const end = await leavesNoTrace(deployment, async () => {
    using chat = new RawChat(deployment.gateway);
    chat.ask('What is this?', ['good', 'bad', 'better']);
    chat
      .part('good', samplePicture('apple'))
      .part('bad', Buffer.from('no picture'))
      .part('better', samplePicture('cat'));
    return await chat.close().ended;
  });
  expect(end.code).toBe('MEDIA_NOT_RECOGNISED');
  expect(end.message).toContain('media "bad"');
});

test('one damaged picture among good ones is the one that is named, though only decoding tells', async () => {
  const end = await leavesNoTrace(deployment, async () => {
    using chat = new RawChat(deployment.gateway);
    chat.ask('What is this?', ['good', 'bad', 'better']);
    const whole = samplePicture('rocket');
    const cut = whole.subarray(0, Math.floor(whole.length / 2));
    chat.part('good', samplePicture('apple')).part('bad', cut).part('better', samplePicture('cat'));
    return await chat.close().ended;
  });
  expect(end).toMatchObject({ status: 'INVALID_ARGUMENT', code: 'MEDIA_CORRUPT' });
  expect(end.message).toBe('media "bad": the PNG picture is cut or damaged');
});

test('a drawing that takes too much is refused by its name, for good', async () => {
  const levels = Array.from({ length: 5 }, (_, i) => `<g id="u${i + 1}">${`<use href="#u${i}"/>`.repeat(10)}</g>`);
  const shape = '<circle id="u0" cx="1024" cy="1024" r="1000" opacity="0.5"/>';
  const slow = `<svg xmlns="http://www.w3.org/2000/svg" width="2048" height="2048"><defs>${shape}${levels.join('')}</defs><use href="#u5"/></svg>`;
  const end = await leavesNoTrace(deployment, async () => askAbout(Buffer.from(slow)));
  expect(end).toMatchObject({ status: 'INVALID_ARGUMENT', code: 'MEDIA_TOO_LARGE' });
  expect(end.retryAfterMs).toBeUndefined();
  expect(end.message).toMatch(/^media "shown": the SVG takes more computing to draw than the limit of 1000 ms/);
});

test('a picture of exactly the pixel limit is answered', async () => {
  const end = await leavesNoTrace(deployment, async () => askAbout(await plainPng(8000, 8000)));
  expect(end).toMatchObject({ status: 'OK' });
});

test('a drawing without pixels of its own is drawn at a size within the limit, whatever it says', async () => {
  const end = await leavesNoTrace(deployment, async () => askAbout(svg(200_000, 100_000)));
  expect(end).toMatchObject({ status: 'OK' });
});

test('a picture of one pixel is answered', async () => {
  const end = await leavesNoTrace(deployment, async () => askAbout(await plainPng(1, 1)));
  expect(end).toMatchObject({ status: 'OK' });
});

function svg(width: number, height: number): Buffer {
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect/></svg>`);
}
