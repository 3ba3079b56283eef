import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LlmSection } from '@tessera/bundle';
import { elementCount } from '@tessera/protocol';
import { comparedWeights, compileRandomLlama } from '../random-llama/compile-random-llama.js';
import { smolLm2, tensorsOf } from '../random-llama/shape.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { BoundGraph, cacheBuffers } from '../subjects/llm-graph.js';
import { memoryBandwidth } from '../subjects/memory-bandwidth.js';
import { timed } from '../taken.js';
import type { Suite, SuiteContext } from './suite.js';

const past = 512;
const capacity = past + 128;
const callsARound = 5;
/** Of a weight, with its share of the scale that a block of 32 has. */
const bytesPerWeight = { float32: 4, int8: 1 + 4 / 32, int4: 0.5 + 4 / 32 } as const;
/** A tied head never has less than 8 bits. */
const headBytesPerWeight = { ...bytesPerWeight, int4: bytesPerWeight.int8 } as const;

/** What one more token of one sequence has to read: all linear layers and the head once, and its cache. */
function bytesOfToken(weights: (typeof comparedWeights)[number], { layers, kvHeads, headDim }: LlmSection): number {
  const matrices = tensorsOf(smolLm2).filter(({ shape }) => shape.length === 2);
  const linear = matrices
    .filter(({ ggufName }) => ggufName !== 'token_embd.weight')
    .reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const head = smolLm2.vocab_size * smolLm2.hidden_size;
  const cache = 2 * layers * kvHeads * headDim * past * 4;
  return linear * bytesPerWeight[weights] + head * headBytesPerWeight[weights] + cache;
}

/** How near a token of one sequence comes to the time that reading its weights takes. */
export const floor: Suite = {
  name: 'floor',
  about: 'a token of one sequence, 135 million parameters, against the time that reading its weights takes',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-floor-'));
    const closing: (() => Promise<void>)[] = [];
    try {
      say('floor: writing a checkpoint of 135 million random weights, and compiling it');
      const bundles = await compileRandomLlama(folder, comparedWeights);
      const memory = await memoryBandwidth(join(folder, 'sum.onnx'));
      closing.push(() => memory.close());
      const subjects: {
        weights: (typeof comparedWeights)[number];
        bytes: number;
        run(): Promise<void>;
        ms: number[];
      }[] = [];
      for (const [at, bundle] of bundles.entries()) {
        const weights = comparedWeights[at] as (typeof comparedWeights)[number];
        const { llm } = bundle.manifest;
        const buffers = cacheBuffers(llm, 1, capacity);
        for (const buffer of buffers) buffer.fill(0.05);
        const graph = await BoundGraph.create(bundle, { backend: 'native' }, capacity, buffers);
        const { binding } = graph.bind({ batch: 1, seq: 1, past });
        closing.push(async () => {
          await binding.release();
          await graph.release();
        });
        await binding.run();
        subjects.push({ weights, bytes: bytesOfToken(weights, llm), run: () => binding.run(), ms: [] });
      }
      say(`floor: ${times(20)} rounds`);
      const bandwidths: number[] = [];
      for (let round = 0; round < times(20); round++) {
        bandwidths.push(await memory.measure());
        for (const { run, ms } of subjects) {
          for (let call = 0; call < callsARound; call++) ms.push((await timed(run)).processorMs);
        }
      }
      const bandwidth = median(bandwidths);
      const rows = subjects.map(({ weights, bytes, ms }): Cell[] => {
        const floorMs = (1000 * bytes) / bandwidth;
        return [weights, bytes / 1e6, floorMs, median(ms), median(ms) / floorMs];
      });
      return [
        {
          title: 'A token of one sequence against the reading of its weights',
          notes: [
            `135 million random weights, one thread, over ${past} tokens; processor time, medians of ${times(20)} alternating rounds. One`,
            `thread reads ${(bandwidth / 1e9).toFixed(1)} GB/s here (ReduceSum over 268 MB). A token reads all linear layers and the head with their scales,`,
            'and the rows of its cache.',
          ],
          columns: [
            { title: 'weights' },
            { title: 'MB a token' },
            { title: 'floor, ms', digits: 1 },
            { title: 'measured, ms', digits: 1 },
            { title: 'measured / floor', digits: 2 },
          ],
          rows,
        },
      ];
    } finally {
      for (const close of closing) await close();
      await rm(folder, { recursive: true, force: true });
    }
  },
};
