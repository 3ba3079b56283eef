import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WeightKind } from '@tessera/bundle';
import { type ExpertLayer, writeExpertNodes, writeFusedExperts } from '@tessera/compiler/testing/expert-layer-graph';
import { createSession, type Session } from '@tessera/inference';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { comparedWeights } from '../random-llama/compile-random-llama.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { timed } from '../taken.js';
import type { Suite, SuiteContext } from './suite.js';

/** The demo model's, and Qwen3-MoE's halved in width. */
const layers: readonly ExpertLayer[] = [
  { experts: 8, chosen: 2, width: 256, inner: 192 },
  { experts: 64, chosen: 8, width: 1024, inner: 768 },
];
const rowCounts = [1, 8, 64];

const wave = (length: number, phase: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 2.3 + phase));

/** Processor time of both ways for so many rows, and how far apart their answers are, of the largest. */
async function compare(ways: readonly Session[], { experts, width }: ExpertLayer, rows: number, rounds: number) {
  const feeds = {
    x: tensor('float32', [rows, width], wave(rows * width, 1)),
    scores: tensor('float32', [rows, experts], wave(rows * experts, 5)),
  };
  const answers: Float32Array[] = [];
  for (const way of ways) answers.push(Float32Array.from(((await way.run(feeds, ['y'])).y as Float32Tensor).data));
  const samples: number[][] = ways.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [at, way] of ways.entries()) {
      samples[at]?.push((await timed(() => way.run(feeds, ['y']))).processorMs);
    }
  }
  const [one, other] = answers as [Float32Array, Float32Array];
  const largest = one.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const apart = one.reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] as number))), 0);
  return { ms: samples.map(median), apart: apart / largest };
}

async function measure(folder: string, weights: WeightKind, layer: ExpertLayer, rounds: number): Promise<Cell[][]> {
  const sessions: Session[] = [];
  for (const [name, write] of [
    ['nodes', writeExpertNodes],
    ['fused', writeFusedExperts],
  ] as const) {
    const path = join(folder, `${name}-${weights}-${layer.experts}.onnx`);
    await write(path, weights, layer);
    sessions.push(await createSession(path, { threads: 1, device: 'cpu' }));
  }
  const rows: Cell[][] = [];
  for (const count of rowCounts) {
    const { ms, apart } = await compare(sessions, layer, count, rounds);
    const [nodes, fused] = ms as [number, number];
    const what = `${layer.experts} of ${layer.width}x${layer.inner}, ${layer.chosen} chosen`;
    rows.push([what, weights, count, nodes, fused, fused / nodes, apart.toExponential(0)]);
  }
  for (const session of sessions) await session.release();
  return rows;
}

/** A layer of experts in nodes of its own, as models are compiled, against ONNX Runtime's one operator for it. */
export const expertLayer: Suite = {
  name: 'expert-layer',
  about: "a layer of experts, a node for each, against ONNX Runtime's fused operators MoE and QMoE",
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-experts-'));
    try {
      const rows: Cell[][] = [];
      for (const layer of layers) {
        for (const weights of comparedWeights) {
          say(`expert-layer: ${layer.experts} experts in ${weights}, ${times(30)} rounds`);
          rows.push(...(await measure(folder, weights, layer, times(30))));
        }
      }
      return [
        {
          title: 'A layer of experts',
          notes: [
            `Invented weights, one thread, processor time, medians of ${times(30)} alternating rounds; a gated MLP each, silu. "Apart" is the`,
            'largest difference of the two answers by the largest number: QMoE does not round what comes in, the nodes do.',
          ],
          columns: [
            { title: 'experts' },
            { title: 'weights' },
            { title: 'rows' },
            { title: 'nodes, ms', digits: 2 },
            { title: 'fused, ms', digits: 2 },
            { title: 'ratio', digits: 2 },
            { title: 'apart' },
          ],
          rows,
        },
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
