import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Tensor, tensor } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { createBoundSession } from '../bound/create-bound-session.js';
import { countCalls } from '../testing/count-calls.js';
import { arithmetic, writeTestGraph } from '../testing/test-graphs.js';
import { NativeBinding } from './native-binding.js';
import { NativeMemory } from './native-memory.js';

test('what is bound already, the same tensor under the same name, is not bound again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-binding-'));
  try {
    const path = writeTestGraph(folder, 'arithmetic', arithmetic);
    const { called } = await countCalls(async () => {
      const session = await createBoundSession(path, { threads: 1, device: 'cpu', backend: 'native' });
      const binding = session.createBinding();
      const [x, y, sum] = [1, 2, 3].map(() => tensor('float32', [1, 3], new Float32Array(3)));
      for (let time = 0; time < 4; time++) {
        binding.bindInputs({ x, y } as Record<string, Tensor>);
        binding.bindOutputs({ sum } as Record<string, Tensor>);
        await binding.run();
      }
      // The same memory, told by another object, is bound like any other.
      binding.bindInputs({ x: { ...x } as Tensor });
      await session.close();
    });
    expect([called.get('BindInput'), called.get('BindOutput')]).toEqual([3, 1]);
    expect(called.get('ReleaseValue')).toBe(4);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

// On a device, ONNX Runtime copies an array when it is bound. There is none here, but binding again can be counted.
test('for a device, inputs that are arrays are bound anew for each run, and those on the device are not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-binding-'));
  try {
    const path = writeTestGraph(folder, 'arithmetic', arithmetic);
    const x = Float32Array.of(1, 2, 3);
    const sum = new Float32Array(3);
    const { called } = await countCalls(async (api) => {
      const { functions } = api;
      const options = api.make((out) => functions.CreateSessionOptions(out));
      const session = api.make((out) => functions.CreateSession(api.env, path, options, out));
      const hostMemory = api.make((out) => functions.CreateMemoryInfo('Cpu', 0, 0, 0, out));
      const allocator = api.make((out) => functions.CreateAllocator(session, hostMemory, out));
      const deviceMemory = hostMemory;
      const memory = new NativeMemory(api, allocator, 12);
      const binding = new NativeBinding({
        api,
        session,
        hostMemory,
        deviceMemory,
        copiesArrays: true,
        inPool: false,
        yields: true,
      });
      const onDevice = { dtype: 'float32', shape: [1, 3], memory, byteOffset: 0 } as const;
      binding.bindInput('x', tensor('float32', [1, 3], x));
      binding.bindInput('y', tensor('float32', [1, 3], new Float32Array(3)));
      binding.bindInput('y', onDevice);
      binding.bindOutput('sum', onDevice);
      for (let time = 0; time < 4; time++) await binding.run();
      binding.bindOutput('sum', tensor('float32', [1, 3], sum));
      binding.bindInput('y', tensor('float32', [1, 3], Float32Array.of(10, 20, 30)));
      await binding.run();
      binding.release();
      memory.free();
      functions.ReleaseAllocator(allocator);
      functions.ReleaseMemoryInfo(hostMemory);
      functions.ReleaseSession(session);
      functions.ReleaseSessionOptions(options);
    });
    expect(sum).toEqual(Float32Array.of(11, 22, 33));
    // Four times when it was bound, once for `x` in each of four runs, and for both in the last.
    expect(called.get('BindInput')).toBe(4 + 4 + 2);
    expect(called.get('BindOutput')).toBe(2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
