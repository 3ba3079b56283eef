import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { tensor } from '@tessera/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OrtFunctions } from '../native/ort-functions.js';
import { countCalls } from '../testing/count-calls.js';
import { arithmetic, lookup, writeTestGraph } from '../testing/test-graphs.js';
import type { BoundSessionOptions } from './bound-session.js';
import { createBoundSession } from './create-bound-session.js';

const times = 10_000;
const cpu = { threads: 1, device: 'cpu' } as const;
const rows = 4096;
/** What each session binds and allocates. */
const bytes = rows * 3 * 4;
/** Far less than what is left when one thing of each session, or its arrays, are kept. */
const allowedGrowthBytes = 40 * 2 ** 20;

let folder: string;
let arithmeticPath: string;
let lookupPath: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-leak-'));
  arithmeticPath = writeTestGraph(folder, 'arithmetic', arithmetic);
  lookupPath = writeTestGraph(folder, 'lookup', lookup);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function live(options: BoundSessionOptions): Promise<void> {
  const session = await createBoundSession(arithmeticPath, options);
  const memory = session.allocate(bytes);
  const binding = session.createBinding();
  const array = () => tensor('float32', [rows, 3], new Float32Array(rows * 3));
  binding.bindInputs({ x: array(), y: array() });
  binding.bindOutputs({ sum: { dtype: 'float32', shape: [rows, 3], memory, byteOffset: 0 } });
  binding.bindOutputs({ product: array() });
  await binding.run();
  binding.bindInputs({ x: array() });
  await session.close();
}

/** Bytes by which this process grew after the first tenth of the work. */
async function growthOver(work: () => Promise<void>): Promise<number> {
  const settled = async (): Promise<number> => {
    // Buffers are given back by another thread, some time after they were collected.
    for (let time = 0; time < 5; time++) {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return process.memoryUsage().rss;
  };
  for (let time = 0; time < times / 10; time++) await work();
  const before = await settled();
  for (let time = times / 10; time < times; time++) await work();
  return (await settled()) - before;
}

test.each(['native', 'node'] as const)(
  '%s: 10,000 sessions are made, run and closed, and nothing stays',
  async (backend) => {
    expect(await growthOver(() => live({ ...cpu, backend }))).toBeLessThan(allowedGrowthBytes);
  },
);

test('native: 10,000 bindings of one session run in the pool, and nothing stays', async () => {
  const session = await createBoundSession(arithmeticPath, { ...cpu, backend: 'native', runs: 'in-pool' });
  const growth = await growthOver(async () => {
    const binding = session.createBinding();
    const array = () => tensor('float32', [rows, 3], new Float32Array(rows * 3));
    binding.bindInputs({ x: array(), y: array() });
    binding.bindOutputs({ sum: array() });
    await binding.run();
    await binding.release();
  });
  expect(growth).toBeLessThan(allowedGrowthBytes);
  await session.close();
});

/** What makes something that must be given back, and what gives it back. */
const pairs: readonly (readonly [made: readonly (keyof OrtFunctions)[], freed: readonly (keyof OrtFunctions)[]])[] = [
  [['CreateSession'], ['ReleaseSession']],
  [['CreateSessionOptions'], ['ReleaseSessionOptions']],
  [['CreateTensorWithDataAsOrtValue'], ['ReleaseValue']],
  [['CreateIoBinding'], ['ReleaseIoBinding']],
  [['CreateMemoryInfo'], ['ReleaseMemoryInfo']],
  [['CreateAllocator'], ['ReleaseAllocator']],
  [['AllocatorAlloc', 'SessionGetInputName', 'SessionGetOutputName'], ['AllocatorFree']],
  [['SessionGetInputTypeInfo', 'SessionGetOutputTypeInfo'], ['ReleaseTypeInfo']],
  [['CreateCUDAProviderOptions'], ['ReleaseCUDAProviderOptions']],
];

test('native: whatever is made by the C API is given back, after failures too', async () => {
  const options = { ...cpu, backend: 'native' } as const;
  const { succeeded } = await countCalls(async () => {
    await live(options);
    await createBoundSession(join(folder, 'none.onnx'), options).catch(() => {});
    await createBoundSession(arithmeticPath, { ...options, device: 'cuda' }).catch(() => {});
    const session = await createBoundSession(lookupPath, options);
    const binding = session.createBinding();
    binding.bindInputs({
      table: tensor('float32', [1, 2], new Float32Array(2)),
      index: tensor('int64', [1], BigInt64Array.of(5n)),
    });
    binding.bindOutputs({ picked: tensor('float32', [1, 2], new Float32Array(2)) });
    await expect(binding.run()).rejects.toMatchObject({ code: 'INTERNAL' });
    session.allocate(8).release();
    await session.close();
  });
  const sum = (names: readonly string[]) => names.reduce((total, name) => total + (succeeded.get(name) ?? 0), 0);
  for (const [made, freed] of pairs) {
    expect(sum(made), made.join()).toBeGreaterThan(0);
    expect(sum(freed), freed.join()).toBe(sum(made));
  }
});
