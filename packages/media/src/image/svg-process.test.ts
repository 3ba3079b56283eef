import { readdirSync, readFileSync } from 'node:fs';
import { eventually } from '@tessera/testing/async/eventually';
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

test('a drawing is not made for someone who has left', async () => {
  const process = started();
  await expect(process.draw(drawing(red), minuteMs, AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(process.hasEnded).toBe(true);
});

test('a process that dies of a drawing has ended, and the drawing is what is refused', async () => {
  const before = childrenOfThis();
  const renderer = started();
  const [child] = childrenOfThis().filter((pid) => !before.includes(pid));
  const drawn = renderer.draw(drawing(slowSvg()), minuteMs, never);
  process.kill(child as number, 'SIGSEGV');
  await expect(drawn).rejects.toMatchObject({
    code: 'MEDIA_CORRUPT',
    message: 'the SVG renderer broke down on this drawing',
  });
  expect(renderer.hasEnded).toBe(true);
});

test('a process that dies between two drawings has ended', async () => {
  const before = childrenOfThis();
  const renderer = started();
  const [child] = childrenOfThis().filter((pid) => !before.includes(pid));
  await renderer.draw(drawing(red), minuteMs, never);
  process.kill(child as number, 'SIGKILL');
  await eventually(() => renderer.hasEnded, 'it has ended');
});

test('a process that rests keeps nobody from ending; one that draws does', async () => {
  const before = holding();
  const renderer = started();
  for (let drawings = 0; drawings < 2; drawings++) {
    const drawn = renderer.draw(drawing(red), minuteMs, never);
    expect(holding()).toEqual([...before, 'ProcessWrap', 'PipeWrap'].sort());
    await drawn;
    renderer.rest();
    expect(holding()).toEqual(before);
  }
});

/** Of what keeps this process from ending: other processes and the channels to them. */
function holding(): string[] {
  return process
    .getActiveResourcesInfo()
    .filter((what) => what === 'ProcessWrap' || what === 'PipeWrap')
    .sort();
}

function childrenOfThis(): number[] {
  const lists = readdirSync('/proc/self/task').map((task) => readFileSync(`/proc/self/task/${task}/children`, 'utf8'));
  return lists.flatMap((list) => list.split(' ').filter((pid) => pid !== '')).map(Number);
}
