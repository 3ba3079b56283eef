import { writeFile } from 'node:fs/promises';
import { createBoundSession } from '@tessera/inference';
import { tensor } from '@tessera/protocol';
import onnxProto from 'onnx-proto';
import { median } from '../statistics.js';
import { timed } from '../taken.js';

const { onnx } = onnxProto;
const shape = [65_536, 1024];
const values = 65_536 * 1024;

/** A graph that adds up all of a tensor: of what ONNX Runtime has, the nearest to reading and nothing else. */
async function writeSum(path: string): Promise<void> {
  const port = (name: string, sizes: readonly number[]) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: sizes.map((dimValue) => ({ dimValue })) } } },
  });
  const { INT } = onnx.AttributeProto.AttributeType;
  const model = onnx.ModelProto.create({
    irVersion: 10,
    opsetImport: [{ domain: '', version: 21 }],
    graph: {
      name: 'sum',
      node: [
        { opType: 'ReduceSum', input: ['values'], output: ['sum'], attribute: [{ name: 'keepdims', type: INT, i: 0 }] },
      ],
      input: [port('values', shape)],
      output: [port('sum', [])],
    },
  });
  await writeFile(path, onnx.ModelProto.encode(model).finish());
}

/**
 * How fast one thread of ONNX Runtime reads memory that no processor's cache holds: a sum over 268 MB.
 * @param path where its graph is written
 * @returns a measurement in bytes per second of processor time, and what ends it
 */
export async function memoryBandwidth(path: string): Promise<{ measure(): Promise<number>; close(): Promise<void> }> {
  await writeSum(path);
  const session = await createBoundSession(path, { threads: 1, device: 'cpu', backend: 'native' });
  const binding = session.createBinding();
  binding.bindInputs({ values: tensor('float32', shape, new Float32Array(values).fill(0.5)) });
  binding.bindOutputs({ sum: tensor('float32', [], new Float32Array(1)) });
  await binding.run();
  return {
    async measure() {
      const samples: number[] = [];
      for (let i = 0; i < 5; i++) samples.push((await timed(() => binding.run())).processorMs);
      return (1000 * 4 * values) / median(samples);
    },
    async close() {
      await binding.release();
      await session.close();
    },
  };
}
