import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSession } from '@tessera/inference';
import { elementCount, type Float32Tensor, type Tensor } from '@tessera/protocol';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { type Parameter, type ParameterSource, parameterOfRows, rowLength } from '../checkpoint/parameters.js';
import type { GraphBuilder } from '../graph/index.js';
import { writeGraph } from '../graph/write-graph.js';

/** Parameters with values made from their names: the same name and shape give the same values. */
export class InventedParameters implements ParameterSource {
  constructor(private readonly amplitude: number) {}

  parameter(name: string, shape: readonly number[]): Parameter {
    const random = seededRandom([...name].reduce((hash, letter) => Math.imul(hash, 31) + letter.charCodeAt(0), 7));
    const values = Float32Array.from({ length: elementCount(shape) }, () => (2 * random() - 1) * this.amplitude);
    const length = rowLength(shape);
    const readRows = async (first: number, target: Float32Array): Promise<void> =>
      target.set(values.subarray(first * length, first * length + target.length));
    return parameterOfRows({ name, shape, readRows });
  }

  async values(name: string, ...shape: number[]): Promise<Float32Array> {
    return this.parameter(name, shape).read();
  }
}

/** Writes a graph, runs it once for each set of feeds, and gives the named float32 output of each run. */
export async function runGraph(
  graph: GraphBuilder,
  output: string,
  feeds: readonly Readonly<Record<string, Tensor>>[],
): Promise<Float32Tensor[]> {
  const dir = await mkdtemp(join(tmpdir(), 'tessera-graph-'));
  try {
    const path = join(dir, 'graph.onnx');
    await writeGraph(graph, path);
    const session = await createSession(path, { threads: 1, device: 'cpu' });
    const results: Float32Tensor[] = [];
    for (const feed of feeds) results.push((await session.run(feed, [output]))[output] as Float32Tensor);
    await session.release();
    return results;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
