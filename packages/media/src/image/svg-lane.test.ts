import { eventually } from '@tessera/testing/async/eventually';
import { slowSvg } from '@tessera/testing/pictures/slow-svg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { defaultMediaLimits } from '../media-limits.js';
import { pixelAt, plane, svgFile } from '../testing/pictures.js';
import type { WhileWaiting } from '../while-waiting.js';
import { type DecodeOptions, decodeImage } from './decode-image.js';
import { SvgLane, type SvgLaneOptions } from './svg-lane.js';

/** As good as no limit: what such a drawing holds, it holds until it is cancelled. */
const endless = { svgCpuMs: 600_000 };
const red = svgFile('width="8" height="8"', '<rect width="8" height="8" fill="red"/>');

/** A lane, and how drawings are made in it; those that still run are cancelled when the test ends. */
function laneOf(options: Partial<SvgLaneOptions> = {}) {
  const lane = new SvgLane({ processes: 2, maxWaiting: 8, ...options });
  const stop = new AbortController();
  onTestFinished(() => {
    stop.abort();
    lane.close();
  });
  const draw = (bytes: Uint8Array, more: DecodeOptions = {}) => {
    const signal = more.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, more.signal]);
    const drawing = decodeImage(bytes, { svgLane: lane, limits: endless, ...more, signal });
    drawing.catch(() => undefined);
    return drawing;
  };
  return { lane, draw };
}

/** Counts the waits that are going on. */
function waits() {
  const now = { going: 0, ended: 0 };
  const whileWaiting: WhileWaiting = async (wait) => {
    now.going++;
    try {
      return await wait;
    } finally {
      now.going--;
      now.ended++;
    }
  };
  return { now, whileWaiting };
}

test('a slow drawing keeps one process busy, and others are drawn meanwhile', async () => {
  const { lane, draw } = laneOf();
  draw(slowSvg());
  await eventually(() => lane.active === 1, 'one is drawn');
  for (const color of ['red', 'lime']) {
    const raster = await draw(svgFile('width="8" height="8"', `<rect width="8" height="8" fill="${color}"/>`));
    expect(pixelAt(raster, 1, 1)).toEqual(color === 'red' ? [255, 0, 0] : [0, 255, 0]);
  }
  expect(lane.active).toBe(1);
});

test('no more are drawn at once than there are processes, and those that wait say so', async () => {
  const { lane, draw } = laneOf();
  const [first, second, third] = [waits(), waits(), waits()];
  const abort = new AbortController();
  draw(slowSvg('red'), { signal: abort.signal, whileWaiting: first.whileWaiting });
  draw(slowSvg('lime'), { whileWaiting: second.whileWaiting });
  await eventually(() => lane.active === 2, 'two are drawn');
  const late = draw(red, { whileWaiting: third.whileWaiting });
  await eventually(() => third.now.going === 1, 'the third waits');
  expect([first.now, second.now]).toEqual([
    { going: 0, ended: 0 },
    { going: 0, ended: 0 },
  ]);
  expect(lane.active).toBe(2);
  abort.abort();
  expect(pixelAt(await late, 1, 1)).toEqual([255, 0, 0]);
  expect(third.now).toEqual({ going: 0, ended: 1 });
});

test('the same drawing is made once for all who ask for it at one time', async () => {
  const { lane, draw } = laneOf({ processes: 1 });
  const abort = new AbortController();
  draw(slowSvg(), { signal: abort.signal });
  await eventually(() => lane.active === 1, 'one is drawn');
  const second = waits();
  const both = [draw(red), draw(red, { whileWaiting: second.whileWaiting })];
  await eventually(() => second.now.going === 1, 'the second waits');
  abort.abort();
  const [one, other] = await Promise.all(both);
  expect(other?.data).toBe(one?.data);
  expect(second.now).toEqual({ going: 0, ended: 1 });
});

test('on another background, or at other limits, it is another drawing', async () => {
  const { draw } = laneOf();
  const clear = svgFile('width="8" height="8"', '');
  const [white, blue] = await Promise.all([draw(clear), draw(clear, { background: [0, 0, 255] })]);
  expect(pixelAt(white, 1, 1)).toEqual([255, 255, 255]);
  expect(pixelAt(blue, 1, 1)).toEqual([0, 0, 255]);
});

test('who leaves does not end what others wait for; the last one does', async () => {
  const { lane, draw } = laneOf({ processes: 1 });
  const [one, other] = [new AbortController(), new AbortController()];
  const left = draw(slowSvg(), { signal: one.signal });
  await eventually(() => lane.active === 1, 'one is drawn');
  const stayed = draw(slowSvg(), { signal: other.signal });
  one.abort();
  await expect(left).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(lane.active).toBe(1);
  const next = draw(red);
  other.abort(new DOMException('late', 'TimeoutError'));
  await expect(stayed).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(pixelAt(await next, 1, 1)).toEqual([255, 0, 0]);
});

test('a drawing that was cancelled is made anew for who asks next', async () => {
  const { draw } = laneOf({ processes: 1 });
  const abort = new AbortController();
  const left = draw(red, { signal: abort.signal });
  const next = left.catch(() => draw(red));
  abort.abort();
  await expect(left).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(pixelAt(await next, 1, 1)).toEqual([255, 0, 0]);
});

test('a drawing that took too much is not tried again for a while', async () => {
  const { lane, draw } = laneOf({ processes: 1 });
  const limits = { ...endless, svgCpuMs: 100 };
  const failure = { code: 'MEDIA_TOO_LARGE', retryable: false, message: expect.stringContaining('limit of 100 ms') };
  await expect(draw(slowSvg(), { limits })).rejects.toMatchObject(failure);
  draw(slowSvg('red'));
  await eventually(() => lane.active === 1, 'one is drawn');
  // There is no place to try in.
  await expect(draw(slowSvg(), { limits })).rejects.toMatchObject(failure);
});

test('a drawing that a busy machine does not come to may be drawn another time', async () => {
  const { lane } = laneOf();
  const svg = { bytes: slowSvg(), width: 2048, height: 2048, background: [0, 0, 0] };
  const ask = () => lane.draw({ ...svg, maxCpuMs: 600_000, maxMemoryBytes: 2 ** 40 }, { timeoutMs: 50 });
  const busy = { code: 'STAGE_UNAVAILABLE', retryable: true, message: expect.stringContaining('within 50 ms') };
  await expect(ask()).rejects.toMatchObject(busy);
  const again = ask();
  again.catch(() => undefined);
  await eventually(() => lane.active === 1, 'one is drawn');
  await expect(again).rejects.toMatchObject(busy);
});

test('a drawing that is damaged is not tried again either', async () => {
  const { lane, draw } = laneOf({ processes: 1 });
  const cut = red.subarray(0, red.length - 9);
  await expect(draw(cut)).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
  draw(slowSvg());
  await eventually(() => lane.active === 1, 'one is drawn');
  await expect(draw(cut)).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
});

test('a minute after a drawing failed it is tried again', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const { lane } = laneOf({ processes: 1 });
  const failedMs = Date.now();
  const ask = () =>
    lane.draw(
      {
        bytes: red.subarray(0, -9),
        width: 8,
        height: 8,
        background: [0, 0, 0],
        maxCpuMs: 600_000,
        maxMemoryBytes: 2 ** 40,
      },
      { timeoutMs: 600_000 },
    );
  await expect(ask()).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
  for (const [laterMs, drawings] of [
    [59_999, 0],
    [60_000, 1],
    // It failed again.
    [119_999, 0],
    [120_000, 1],
  ] as const) {
    vi.setSystemTime(failedMs + laterMs);
    const asked = ask();
    expect(lane.active, `after ${laterMs} ms`).toBe(drawings);
    await expect(asked).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
  }
});

test('a drawing that takes too much memory is refused, and the next is right', async () => {
  const { draw } = laneOf();
  const large = await plane(9000, 9000, '#ff0000').png().toBuffer();
  const body = `<image href="data:image/png;base64,${large.toString('base64')}" width="8" height="8"/>`;
  const limits = { ...defaultMediaLimits, svgMemoryBytes: 200 * 1024 * 1024 };
  await expect(draw(svgFile('width="8" height="8"', body), { limits })).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: expect.stringContaining('more memory to draw than the limit of 209715200 bytes'),
  });
  expect(pixelAt(await draw(red), 1, 1)).toEqual([255, 0, 0]);
});

test('one more than may wait is refused with the figure', async () => {
  const { lane, draw } = laneOf({ processes: 1, maxWaiting: 1 });
  const abort = new AbortController();
  draw(slowSvg('red'), { signal: abort.signal });
  await eventually(() => lane.active === 1, 'one is drawn');
  const waiting = waits();
  const second = draw(red, { whileWaiting: waiting.whileWaiting });
  await eventually(() => waiting.now.going === 1, 'the second waits');
  await expect(draw(slowSvg('lime'))).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    message: 'as many SVG pictures wait to be drawn as may: 1',
    retryAfterMs: 1000,
  });
  abort.abort();
  expect(pixelAt(await second, 1, 1)).toEqual([255, 0, 0]);
});

test('a process that rested before it draws is not ended for its rest', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const { lane, draw } = laneOf({ processes: 2 });
  const abort = new AbortController();
  await draw(red);
  const slow = draw(slowSvg(), { signal: abort.signal });
  while (lane.active === 0) await new Promise((resolve) => setImmediate(resolve));
  vi.advanceTimersByTime(35_000);
  // Another process is started, which takes longer than one takes to end.
  expect(pixelAt(await draw(svgFile('width="8" height="8"', '')), 1, 1)).toEqual([255, 255, 255]);
  abort.abort();
  await expect(slow).rejects.toMatchObject({ code: 'CANCELLED' });
});
