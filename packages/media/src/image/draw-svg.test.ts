import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { slowSvg } from '@tessera/testing/pictures/slow-svg';
import { expect, test } from 'vitest';
import { distance, pixelAt, plane, svgFile } from '../testing/pictures.js';
import { decodeImage } from './decode-image.js';
import { probeImage } from './probe-image.js';
import type { SvgDrawing } from './svg-drawing.js';
import { type DrawOptions, SvgLane } from './svg-lane.js';

const red = '<rect width="100%" height="100%" fill="red"/>';

const plain = `<svg xmlns="http://www.w3.org/2000/svg" width="100" height="50">${red}</svg>`;
const prefixed =
  '<s:svg xmlns:s="http://www.w3.org/2000/svg" width="100" height="50"><s:rect width="100%" height="100%" fill="red"/></s:svg>';
const utf16le = (text: string) => Buffer.from(text, 'utf16le');
const latin1Svg = Buffer.from(`<?xml version="1.0" encoding="ISO-8859-1"?><!-- \xe9 -->${plain}`, 'latin1');

test.each([
  ['its width and height', 'width="1000" height="600"', { width: 1000, height: 600 }],
  ['a small size, drawn larger', 'width="16" height="8"', { width: 512, height: 256 }],
  ['a large size, drawn smaller', 'width="100000" height="50000"', { width: 2048, height: 1024 }],
  ['a billion units, which no renderer is asked for', 'width="1e9" height="5e8"', { width: 2048, height: 1024 }],
  ['a viewBox of a billion units', 'viewBox="0 0 1e9 1e9"', { width: 2048, height: 2048 }],
  ['less than one unit', 'width="0.01" height="0.02"', { width: 256, height: 512 }],
  ['nonsense, so the defaults', 'width="-5" height="abc"', { width: 512, height: 256 }],
  ['its viewBox', 'viewBox="0 0 30 60"', { width: 256, height: 512 }],
  ['percentages, so its viewBox', 'width="100%" height="100%" viewBox="0 0 60 30"', { width: 512, height: 256 }],
  ['its width and the viewBox', 'width="100" viewBox="0 0 30 60"', { width: 256, height: 512 }],
  ['its height and the viewBox', 'height="100" viewBox="0 0 30 60"', { width: 256, height: 512 }],
  ['half a viewBox, so the defaults', 'viewBox="0 0 10"', { width: 512, height: 256 }],
  ['a viewBox of nonsense, so the defaults', 'viewBox="0 0 abc 10"', { width: 512, height: 256 }],
])('an SVG says its size by %s', async (_, attributes, size) => {
  const bytes = svgFile(attributes, red);
  const memoryBytes = size.width * size.height * 3;
  expect(await probeImage(bytes)).toEqual({ kind: 'image', format: 'svg', ...size, pages: 1, memoryBytes });
  const raster = await decodeImage(bytes);
  expect(raster).toMatchObject(size);
  expect(pixelAt(raster, size.width >> 1, size.height >> 1)).toEqual([255, 0, 0]);
});

test.each(['960', '960px', '720pt', '60pc', '254mm', '25.4cm', '10in', '10IN', '+9.6e2', ' 960 px '])(
  'a length of %s is 960 pixels of CSS',
  async (length) => {
    expect(await probeImage(svgFile(`width="${length}" height="600"`, red))).toMatchObject({ width: 960, height: 600 });
  },
);

test('half a viewBox is none', async () => {
  const bytes = svgFile('width="640" height="320" viewBox="0 0 10"', red);
  expect(await probeImage(bytes)).toMatchObject({ width: 640, height: 320 });
});

test('a line of a billion units by one is a line of pixels', async () => {
  expect(await decodeImage(svgFile('width="1e9" height="1"', red))).toMatchObject({ width: 2048, height: 1 });
});

test('a size in a style sheet does not change what the root tag says', async () => {
  const style = '<style>svg { width: 7px !important; height: 100% }</style>';
  const raster = await decodeImage(
    svgFile('width="40" height="20"', `${style}<rect width="40" height="20" fill="red"/>`),
  );
  expect(raster).toMatchObject({ width: 512, height: 256 });
  expect(pixelAt(raster, 508, 252)).toEqual([255, 0, 0]);
});

test.each([`style='font-family: "Nobody"; fill: red'`, 'style="fill: red"', `fill='red' style=''`])(
  'what the root tag says of style is kept: %s',
  async (style) => {
    const raster = await decodeImage(svgFile(`${style} width="8" height="8"`, '<rect width="8" height="8"/>'));
    expect(raster).toMatchObject({ width: 512, height: 512 });
    expect(pixelAt(raster, 256, 256)).toEqual([255, 0, 0]);
  },
);

test('without any size it has the size that CSS gives, 300x150, scaled like any other', async () => {
  const bytes = svgFile('', '<rect width="10" height="20" fill="blue"/>');
  expect(await probeImage(bytes)).toMatchObject({ width: 512, height: 256 });
  const raster = await decodeImage(bytes);
  expect(pixelAt(raster, 15, 32)).toEqual([0, 0, 255]);
  expect(pixelAt(raster, 19, 36)).toEqual([255, 255, 255]);
});

test.each([
  ['width="10" height="20"', 10, 20],
  ['width="5in" height="5in"', 480, 480],
  ['width="5in" height="5in" viewBox="0 0 40 40"', 40, 40],
  ['style="width: 7px; height: 9px" viewBox="0 0 10 10"', 10, 10],
  [`width='3000' height='3000'`, 3000, 3000],
])('what it draws is scaled with its size: %s', async (attributes, width, height) => {
  const half = `<rect width="${width / 2}" height="${height}" fill="red"/>`;
  const raster = await decodeImage(svgFile(attributes, half));
  expect(pixelAt(raster, raster.width / 2 - 4, raster.height - 4)).toEqual([255, 0, 0]);
  expect(pixelAt(raster, raster.width / 2 + 4, raster.height - 4)).toEqual([255, 255, 255]);
});

test('a prologue of declaration, comment and document type may stand before the root', async () => {
  const publicType =
    '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">';
  for (const [prologue, fill] of [
    ['\ufeff<?xml version="1.0"?>\n<!-- a <svg> -->\n<!DOCTYPE svg [<!ENTITY c "red">]>\n', '&c;'],
    ['<?xml version="1.0"?><!DOCTYPE svg>', 'red'],
    [publicType, 'red'],
    // Of more than a document type only the first bracket opens it.
    ['<!DOCTYPE svg><!-- [ -->', 'red'],
  ] as const) {
    const body = `<!-- [ ]> --><rect width="512" height="512" fill="${fill}"/>`;
    const bytes = svgFile('width="512" height="512"', body, prologue);
    expect(pixelAt(await decodeImage(bytes), 5, 5), prologue).toEqual([255, 0, 0]);
  }
});

test.each([
  ['a root tag with a prefix', Buffer.from(prefixed)],
  ['a prefix behind a declaration', Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${prefixed}`)],
  ['a prefix behind a long prologue', Buffer.from(`<!-- ${'x'.repeat(4000)} -->${prefixed}`)],
  ['UTF-16 with a mark, little-endian', utf16le(`\ufeff<?xml version="1.0" encoding="UTF-16"?>${plain}`)],
  ['UTF-16 with a mark, big-endian', utf16le(`\ufeff<?xml version="1.0" encoding="UTF-16"?>${plain}`).swap16()],
  ['UTF-16 without a mark, little-endian', utf16le(`<?xml version="1.0" encoding="UTF-16LE"?>${plain}`)],
  ['UTF-16 without a mark, big-endian', utf16le(plain).swap16()],
  ['UTF-16 and a prefix', utf16le(`\ufeff${prefixed}`)],
  ['Latin-1, as its declaration says', latin1Svg],
])('a drawing in %s is drawn', async (_, bytes) => {
  expect(await probeImage(bytes)).toMatchObject({ format: 'svg', width: 512, height: 256 });
  const raster = await decodeImage(bytes);
  expect(raster).toMatchObject({ width: 512, height: 256 });
  expect(pixelAt(raster, 256, 128)).toEqual([255, 0, 0]);
});

test.each(['viewBox="0 0 1e-320 1e-320"', 'width="1e-320" height="1e-310"', 'viewBox="0 0 0.001 0.002" width="9"'])(
  'a plane too small to be drawn on is refused, not shown empty: %s',
  async (attributes) => {
    await expect(probeImage(svgFile(attributes, red))).rejects.toMatchObject({
      code: 'MEDIA_UNSUPPORTED',
      message: expect.stringMatching(/its plane has [\d.e-]+x[\d.e-]+ units/),
    });
  },
);

test.each([
  ['of the least size', 'viewBox="0 0 0.0078125 0.0078125"', { width: 512, height: 512 }],
  ['that is thin', 'viewBox="0 0 10 0.001"', { width: 512, height: 1 }],
])('a plane %s is taken', async (_, attributes, size) => {
  expect(await probeImage(svgFile(attributes, red))).toMatchObject(size);
});

test('a very small size on an ordinary plane is drawn as any other', async () => {
  const bytes = svgFile(
    'width="1e-320" height="1e-320" viewBox="0 0 10 10"',
    '<rect width="10" height="10" fill="red"/>',
  );
  const raster = await decodeImage(bytes);
  expect(raster).toMatchObject({ width: 512, height: 512 });
  expect(pixelAt(raster, 500, 500)).toEqual([255, 0, 0]);
});

test('what is not drawn shows the background', async () => {
  const bytes = svgFile('width="512" height="512"', '<rect width="100" height="100"/>');
  expect(pixelAt(await decodeImage(bytes, { background: [1, 2, 3] }), 300, 300)).toEqual([1, 2, 3]);
});

test.each([
  ['0x0', svgFile('width="0" height="0"', red), 'MEDIA_EMPTY'],
  ['a viewBox of no area', svgFile('viewBox="0 0 0 10"', red), 'MEDIA_EMPTY'],
  ['a size, and a viewBox of no width', svgFile('width="90" height="80" viewBox="0 0 0 10"', red), 'MEDIA_EMPTY'],
  ['a size, and a viewBox of no height', svgFile('width="90" height="80" viewBox="0 0 10 0"', red), 'MEDIA_EMPTY'],
  ['no width', svgFile('width="0" height="80"', red), 'MEDIA_EMPTY'],
  ['no height', svgFile('width="90" height="0"', red), 'MEDIA_EMPTY'],
  ['an endless width', svgFile('width="1e999" height="10"', red), 'MEDIA_TOO_LARGE'],
  ['an element cut in two', svgFile('width="10" height="10"', red).subarray(0, 90), 'MEDIA_CORRUPT'],
  ['an undefined entity', svgFile('width="10" height="10"', '<text>&nope;</text>'), 'MEDIA_CORRUPT'],
])('an SVG with %s is refused: %#', async (_, bytes, code) => {
  await expect(decodeImage(bytes)).rejects.toMatchObject({ code });
});

test('files that it names are not read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-svg-'));
  try {
    const file = join(folder, 'secret.png');
    writeFileSync(file, await plane(8, 8, 'red').png().toBuffer());
    const address = pathToFileURL(file).href;
    const links = [address, file].map((href) => `<image href="${href}" width="512" height="512"/>`);
    const bodies = [
      ...links,
      `<style>rect { fill: url(${address}#x) }</style>`,
      `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="${address}" parse="text"/>`,
    ];
    for (const body of bodies) {
      const raster = await decodeImage(svgFile('width="512" height="512"', body));
      expect(raster.data.every((value) => value === 255)).toBe(true);
    }
    const external = `<!DOCTYPE svg [<!ENTITY x SYSTEM "${address}">]>`;
    await expect(
      decodeImage(svgFile('width="512" height="512"', '<text y="99">&x;</text>', external)),
    ).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
    // The same picture inside the file is drawn: what was missing above was the permission, not the feature.
    const data = (await plane(8, 8, 'red').png().toBuffer()).toString('base64');
    const inline = `<image href="data:image/png;base64,${data}" width="512" height="512"/>`;
    expect(pixelAt(await decodeImage(svgFile('width="512" height="512"', inline)), 256, 256)).toEqual([255, 0, 0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('entities that grow without end are MEDIA_CORRUPT', async () => {
  const levels = Array.from({ length: 9 }, (_, i) => `<!ENTITY a${i + 1} "${`&a${i};`.repeat(10)}">`).join('');
  const prologue = `<!DOCTYPE svg [<!ENTITY a0 "aaaaaaaaaa">${levels}]>`;
  await expect(decodeImage(svgFile('width="8" height="8"', '<text>&a9;</text>', prologue))).rejects.toMatchObject({
    code: 'MEDIA_CORRUPT',
  });
});

test('filter effects are left out, and what they decorate is drawn', async () => {
  const filter = '<filter id="f"><feFlood flood-color="lime"/></filter>';
  const body = `${filter}<rect width="512" height="512" fill="red" style="filter: url(#f) !important"/>`;
  expect(distance(pixelAt(await decodeImage(svgFile('width="512" height="512"', body)), 9, 9), [255, 0, 0])).toBe(0);
});

test('a drawing made to be slow ends at its limit, and the next one is right', async () => {
  await expect(decodeImage(slowSvg(), { limits: { svgCpuMs: 200 } })).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: 'the SVG takes more computing to draw than the limit of 200 ms; simplify it, or send it as PNG',
  });
  expect(pixelAt(await decodeImage(svgFile('width="8" height="8"', red)), 1, 1)).toEqual([255, 0, 0]);
});

test.each([
  [1, 30_000],
  [2000, 30_000],
  [2001, 30_015],
  [100_000, 1_500_000],
])('for %i ms of computing a drawing has %i ms of time', async (svgCpuMs, timeoutMs) => {
  const asked: DrawOptions[] = [];
  class Lane extends SvgLane {
    override async draw({ width, height }: SvgDrawing, options: DrawOptions) {
      asked.push(options);
      return new Uint8Array(width * height * 3);
    }
  }
  await decodeImage(svgFile('width="8" height="8"', red), { limits: { svgCpuMs }, svgLane: new Lane() });
  expect(asked).toMatchObject([{ timeoutMs }]);
});
