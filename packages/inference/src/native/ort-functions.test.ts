import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tensor } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { createBoundSession } from '../bound/create-bound-session.js';
import { countCalls, nativeApi } from '../testing/count-calls.js';
import { arithmetic, lookup, writeTestGraph } from '../testing/test-graphs.js';
import { OrtError } from './ort-error.js';
import { ortFunctionTable } from './ort-functions.js';

const cpu = { threads: 1, device: 'cpu', backend: 'native' } as const;

test('the library is of the version of the package onnxruntime-node, which is pinned', async () => {
  const packageFile = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string };
  expect((await nativeApi()).version).toBe(version);
  const own = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    dependencies: Record<string, string>;
    optionalDependencies: Record<string, string>;
  };
  expect(own.dependencies['onnxruntime-node']).toBe(version);
  expect(own.optionalDependencies.koffi).toMatch(/^\d+\.\d+\.\d+$/);
});

test('no two functions stand at one place', () => {
  const places = Object.values(ortFunctionTable).map(({ index }) => index);
  expect(new Set(places).size).toBe(places.length);
});

// What each gives is looked at by the tests of bound sessions, which compare with onnxruntime-node.
test('every function of the table is called by sessions, and does there what its name says', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tessera-table-'));
  try {
    const { called } = await countCalls(async () => {
      const path = writeTestGraph(folder, 'arithmetic', arithmetic);
      const session = await createBoundSession(path, cpu);
      expect(session.inputs.map(({ name }) => name)).toEqual(['x', 'y']);
      expect(session.outputs).toMatchObject([{ name: 'sum', dtype: 'float32', shape: ['batch', 3] }, {}]);
      session.allocate(64).release();
      await session.close();
      const failing = await createBoundSession(writeTestGraph(folder, 'lookup', lookup), cpu);
      const binding = failing.createBinding();
      binding.bindInputs({
        table: tensor('float32', [1, 2], new Float32Array(2)),
        index: tensor('int64', [1], BigInt64Array.of(9n)),
      });
      binding.bindOutputs({ picked: tensor('float32', [1, 2], new Float32Array(2)) });
      await expect(binding.run()).rejects.toThrow('idx=9');
      await failing.close();
      await expect(createBoundSession(path, { ...cpu, device: 'cuda' })).rejects.toThrow('cuda');
    });
    const uncalled = Object.keys(ortFunctionTable).filter((name) => !called.has(name));
    expect(uncalled).toEqual(['CreateEnv', 'SessionOptionsAppendExecutionProvider_CUDA_V2']);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('CUDA is asked for and refused by the one function that sessions do not reach without its files', async () => {
  const api = await nativeApi();
  const { functions } = api;
  const options = api.make((out) => functions.CreateSessionOptions(out));
  const cuda = api.make((out) => functions.CreateCUDAProviderOptions(out));
  const append = () => api.check(functions.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda));
  expect(append).toThrow(OrtError);
  expect(append).toThrow('AppendExecutionProvider_Cuda');
  functions.ReleaseCUDAProviderOptions(cuda);
  functions.ReleaseSessionOptions(options);
});
