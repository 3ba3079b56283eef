import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Tensor, tensor } from '@tessera/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { everyBackend } from '../testing/every-backend.js';
import { arithmetic, slow, writeTestGraph } from '../testing/test-graphs.js';
import type { Binding, BoundSession } from './bound-session.js';
import { createBoundSession } from './create-bound-session.js';

const width = 256;
/** Enough for a run of tens of milliseconds: other things happen meanwhile. */
const steps = 40;

let folder: string;
let arithmeticPath: string;
let slowPath: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-bound-'));
  arithmeticPath = writeTestGraph(folder, 'arithmetic', arithmetic);
  slowPath = writeTestGraph(folder, 'slow', slow(width, steps));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A matrix with `value` on its diagonal: its power has the power of that there. */
function diagonal(value: number): Float32Array {
  const data = new Float32Array(width * width);
  for (let at = 0; at < width; at++) data[at * (width + 1)] = value;
  return data;
}

const matrix = (data: Float32Array): Tensor => tensor('float32', [width, width], data);
const row = (data: Float32Array): Tensor => tensor('float32', [1, 3], data);

describe.each(everyBackend)('%s', (_, options) => {
  const open = (path: string): Promise<BoundSession> => createBoundSession(path, options);

  /** A binding whose run takes long, and the output that is then full of ones on its diagonal. */
  function longRun(session: BoundSession): { binding: Binding; y: Float32Array } {
    const y = new Float32Array(width * width);
    const binding = session.createBinding();
    binding.bindInputs({ x: matrix(diagonal(1)) });
    binding.bindOutputs({ y: matrix(y) });
    return { binding, y };
  }

  test('closing waits for the run under way, and then nothing runs any more', async () => {
    const session = await open(slowPath);
    const { binding, y } = longRun(session);
    const run = binding.run();
    let hasRun = false;
    void run.then(() => {
      hasRun = true;
    });
    await new Promise(setImmediate);
    await session.close();
    expect(hasRun).toBe(true);
    expect(y).toEqual(diagonal(1));
    await expect(binding.run()).rejects.toMatchObject({ code: 'DRAINING' });
    expect(() => session.createBinding()).toThrow(expect.objectContaining({ code: 'DRAINING' }));
    expect(() => session.allocate(8)).toThrow(expect.objectContaining({ code: 'DRAINING' }));
    await session.close();
  });

  test('a binding that is released while it runs ends its run first', async () => {
    const session = await open(slowPath);
    const { binding, y } = longRun(session);
    const run = binding.run();
    const released = binding.release();
    await expect(binding.run()).rejects.toMatchObject({ code: 'DRAINING' });
    expect(() => binding.bindInputs({ x: matrix(y) })).toThrow(expect.objectContaining({ code: 'DRAINING' }));
    await released;
    await run;
    expect(y).toEqual(diagonal(1));
    const other = longRun(session);
    await other.binding.run();
    await session.close();
  });

  test('nothing is bound, and no second run begun, while a binding runs', async () => {
    const session = await open(slowPath);
    const { binding, y } = longRun(session);
    const run = binding.run();
    await expect(binding.run()).rejects.toMatchObject({ code: 'INTERNAL', message: 'the binding is running' });
    expect(() => binding.bindOutputs({ y: matrix(new Float32Array(width * width)) })).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    );
    await run;
    expect(y).toEqual(diagonal(1));
    await session.close();
  });

  test('runs of one session take turns in the order of the calls, and a failed one holds up nobody', async () => {
    const session = await open(slowPath);
    const ended: string[] = [];
    const run = (name: string, binding: Binding) =>
      binding.run().then(
        () => ended.push(name),
        () => ended.push(`${name} failed`),
      );
    const broken = session.createBinding();
    broken.bindOutputs({ y: matrix(new Float32Array(width * width)) });
    await Promise.all([
      run('first', longRun(session).binding),
      run('second', broken),
      run('third', longRun(session).binding),
    ]);
    expect(ended).toEqual(['first', 'second failed', 'third']);
    await session.close();
  });

  test('the event loop turns before a run', async () => {
    const session = await open(arithmeticPath);
    const binding = session.createBinding();
    const data = new Float32Array(3);
    binding.bindInputs({ x: row(data), y: row(data) });
    binding.bindOutputs({ sum: row(data) });
    let turns = 0;
    for (let time = 0; time < 5; time++) {
      setImmediate(() => turns++);
      await binding.run();
    }
    expect(turns).toBe(5);
    await session.close();
  });

  test('device memory holds what one run wrote for the next, and parts of it are bound', async () => {
    const session = await open(arithmeticPath);
    const memory = session.allocate(3 * 3 * 4);
    const part = (index: number) => ({ dtype: 'float32', shape: [1, 3], memory, byteOffset: index * 3 * 4 }) as const;
    const binding = session.createBinding();
    const sum = new Float32Array(3);
    binding.bindInputs({ x: row(Float32Array.of(1, 2, 3)), y: row(Float32Array.of(10, 20, 30)) });
    binding.bindOutputs({ sum: part(1), product: part(2) });
    await binding.run();
    const next = session.createBinding();
    next.bindInputs({ x: part(2), y: part(1) });
    next.bindOutputs({ sum: row(sum) });
    await next.run();
    expect(sum).toEqual(Float32Array.of(10 + 11, 40 + 22, 90 + 33));
    await session.close();
  });

  test('device memory is refused beyond its end, between elements, of another session and after its release', async () => {
    const [session, other] = [await open(arithmeticPath), await open(arithmeticPath)];
    const memory = session.allocate(16);
    const binding = session.createBinding();
    const at = (byteOffset: number, of = memory) =>
      ({ dtype: 'float32', shape: [1, 3], memory: of, byteOffset }) as const;
    const refused = (problem: string) =>
      expect.objectContaining({ code: 'TENSOR_INVALID', message: expect.stringContaining(problem) });
    expect(() => binding.bindInputs({ x: at(8) })).toThrow(refused('x ends at byte 20 of a memory of 16'));
    expect(() => binding.bindInputs({ x: at(2) })).toThrow(refused('x begins at byte 2'));
    expect(() => binding.bindInputs({ x: at(-4) })).toThrow(refused('x begins at byte -4'));
    const foreign = at(0, other.allocate(16));
    expect(() => binding.bindInputs({ x: foreign })).toThrow(refused('not allocated by this session'));
    expect(() => session.allocate(0)).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
    expect(() => session.allocate(2 ** 52)).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
    binding.bindInputs({ x: at(0), y: at(4) });
    binding.bindOutputs({ sum: row(new Float32Array(3)) });
    memory.release();
    memory.release();
    await expect(binding.run()).rejects.toEqual(refused('the memory of x was released'));
    expect(() => binding.bindInputs({ x: at(0) })).toThrow(refused('released'));
    await session.close();
    await other.close();
  });

  test('device memory that is released while a run uses it is there until the run ends', async () => {
    const session = await open(slowPath);
    const memory = session.allocate(width * width * 4);
    const onDevice = { dtype: 'float32', shape: [width, width], memory, byteOffset: 0 } as const;
    const { binding, y } = longRun(session);
    binding.bindOutputs({ y: onDevice });
    await binding.run();
    binding.bindInputs({ x: onDevice });
    binding.bindOutputs({ y: matrix(y) });
    const run = binding.run();
    // The run has begun: its turn came with the promises of before.
    await Promise.resolve();
    memory.release();
    await run.catch(() => {});
    expect(y).toEqual(diagonal(1));
    await session.close();
  });
});

test('in the pool, the thread goes on while the graph runs', async () => {
  const options = { threads: 1, device: 'cpu', backend: 'native', runs: 'in-pool' } as const;
  const path = writeTestGraph(folder, 'slower', slow(width, 10 * steps));
  const session = await createBoundSession(path, options);
  const binding = session.createBinding();
  const y = new Float32Array(width * width);
  binding.bindInputs({ x: matrix(diagonal(1)) });
  binding.bindOutputs({ y: matrix(y) });
  let turns = 0;
  let isRunning = true;
  const turn = (): void => {
    turns++;
    if (isRunning) setImmediate(turn);
  };
  turn();
  await binding.run();
  isRunning = false;
  // One that computes here is over in the second.
  expect(turns).toBeGreaterThan(3);
  expect(y).toEqual(diagonal(1));
  await session.close();
});
