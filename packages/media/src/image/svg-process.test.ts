import { slowSvg } from '@tessera/testing/pictures/slow-svg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { svgFile } from '../testing/pictures.js';
import type { SvgDrawing } from './svg-drawing.js';
import { SvgProcess } from './svg-process.js';

const never = new AbortController().signal;
const minuteMs = 60_000;
const red = svgFile('width="8" height="8"', '<rect width="8" height="8" fill="red"/>');

function started(): SvgProcess {
  const process = new SvgProcess();
  onTestFinished(() => process.end());
  return process;
}

function drawing(bytes: Uint8Array, limits: Partial<SvgDrawing> = {}): SvgDrawing {
  const size = { width: 8, height: 8, background: [255, 255, 255] };
  return { bytes, ...size, maxCpuMs: 600_000, maxMemoryBytes: 2 ** 40, ...limits };
}

test.each([
  ['is given up', slowSvg(), {}, minuteMs, 'CANCELLED'],
  ['takes too much computing', slowSvg(), { maxCpuMs: 100 }, minuteMs, 'MEDIA_TOO_LARGE'],
  ['takes too much memory', slowSvg(), { maxMemoryBytes: 1 }, minuteMs, 'MEDIA_TOO_LARGE'],
  ['is not drawn in time', slowSvg(), {}, 50, 'STAGE_UNAVAILABLE'],
] as const)('a process whose drawing %s has ended', async (_, bytes, limits, timeoutMs, code) => {
  const process = started();
  const leaving = new AbortController();
  const drawn = process.draw(drawing(bytes, limits), timeoutMs, leaving.signal);
  if (code === 'CANCELLED') leaving.abort();
  await expect(drawn).rejects.toMatchObject({ code });
  expect(process.hasEnded).toBe(true);
});

test('a process draws on behind a drawing that is damaged, until it is worn', async () => {
  const process = started();
  const damaged = red.subarray(0, red.length - 9);
  await expect(process.draw(drawing(damaged), minuteMs, never)).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
  for (let drawings = 1; drawings < 100; drawings++) {
    expect(process.isWorn).toBe(false);
    expect((await process.draw(drawing(red), minuteMs, never)).subarray(0, 3)).toEqual(Buffer.from([255, 0, 0]));
  }
  expect([process.isWorn, process.hasEnded]).toEqual([true, false]);
});

test('a process is not ended for a drawing that is over, neither by its time nor by who asked for it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const process = started();
  const leaving = new AbortController();
  await process.draw(drawing(red), minuteMs, leaving.signal);
  await expect(process.draw(drawing(red.subarray(0, -9)), minuteMs, leaving.signal)).rejects.toMatchObject({
    code: 'MEDIA_CORRUPT',
  });
  expect(vi.getTimerCount()).toBe(0);
  leaving.abort();
  expect(process.hasEnded).toBe(false);
  expect(await process.draw(drawing(red), minuteMs, never)).toHaveLength(8 * 8 * 3);
});
