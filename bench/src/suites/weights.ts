import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle } from '@tessera/bundle';
import { Helper } from '../processes/helper.js';
import type { TransformersCalls } from '../processes/transformers-main.js';
import { comparedWeights, compileRandomLlama } from '../random-llama/compile-random-llama.js';
import { type ExportedWeights, writeExport } from '../random-llama/write-export.js';
import { type GgufWeights, writeGguf } from '../random-llama/write-gguf.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { LlamaCpp } from '../subjects/llama-cpp.js';
import { BoundGraph, cacheBuffers, type KvNumbers } from '../subjects/llm-graph.js';
import { findTransformersJs } from '../subjects/transformers-js.js';
import { timed } from '../taken.js';
import type { Suite, SuiteContext } from './suite.js';

const past = 512;
const batches = [1, 2, 4, 8];
const capacity = past + 128;
const ggufKinds: readonly GgufWeights[] = ['Q4_0', 'Q8_0'];
const exportedKinds: readonly ExportedWeights[] = ['float32', 'int4'];
const bytesPerMegabyte = 1e6;

/** One way to compute the model: what it weighs, and calls to measure, by how many sequences there are. */
interface Way {
  readonly name: string;
  readonly megabytes?: number;
  prepare(sequences: number): Promise<{
    /** @returns processor time, milliseconds, as `prefill` does */
    decode(): Promise<number>;
    /** Of a prompt of `past` tokens. */
    prefill(): Promise<number>;
    close(): Promise<void>;
  }>;
  close(): Promise<void>;
}

const processorMsOf = async (run: () => Promise<unknown>): Promise<number> => (await timed(run)).processorMs;

function megabytesOf({ manifest }: Bundle): number {
  return Object.values(manifest.files).reduce((sum, { bytes }) => sum + bytes / bytesPerMegabyte, 0);
}

async function graphWay(bundle: Bundle, buffers: readonly KvNumbers[]): Promise<Way> {
  const graph = await BoundGraph.create(bundle, { backend: 'native' }, capacity, buffers);
  return {
    name: bundle.manifest.weights,
    megabytes: megabytesOf(bundle),
    async prepare(batch) {
      const { binding: decode } = graph.bind({ batch, seq: 1, past });
      const { binding: prefill } = graph.bind({ batch: 1, seq: past, past: 0 });
      return {
        decode: () => processorMsOf(() => decode.run()),
        prefill: () => processorMsOf(() => prefill.run()),
        close: async () => {
          await decode.release();
          await prefill.release();
        },
      };
    },
    close: () => graph.release(),
  };
}

async function llamaCppWay(kind: GgufWeights, folder: string): Promise<Way | undefined> {
  const file = join(folder, `${kind}.gguf`);
  const model = await LlamaCpp.open(async () => {
    await writeGguf(file, kind);
    return file;
  });
  if (model === undefined) return undefined;
  return {
    name: `llama.cpp ${kind}`,
    async prepare(count) {
      const sequences = await model.sequences(count, past);
      return {
        decode: () => processorMsOf(() => sequences.decode()),
        prefill: () => processorMsOf(() => sequences.prefill()),
        close: () => sequences.close(),
      };
    },
    close: () => model.close(),
  };
}

async function transformersWay(path: string, bundle: Bundle, kind: ExportedWeights, folder: string): Promise<Way> {
  const exported = join(folder, `export-${kind}`);
  const dtype = await writeExport(bundle, kind, exported);
  const helper = new Helper<TransformersCalls>('transformers');
  await helper.call('open', { path, folder: exported, dtype });
  return {
    name: `transformers.js ${dtype}`,
    async prepare(count) {
      await helper.call('prepare', { count, past });
      return {
        decode: () => helper.call('run', { what: 'decode' }),
        prefill: () => helper.call('run', { what: 'prefill' }),
        close: async () => {},
      };
    },
    close: async () => helper[Symbol.dispose](),
  };
}

/** Tokens per second of processor time of every way at one size of batch; the ways take turns. */
async function rates(
  ways: readonly Way[],
  sequences: number,
  rounds: number,
  what: 'decode' | 'prefill',
): Promise<number[]> {
  const prepared = await Promise.all(ways.map((way) => way.prepare(sequences)));
  const samples: number[][] = ways.map(() => []);
  for (const ready of prepared) await ready[what]();
  for (let round = 0; round < rounds; round++) {
    for (const [at, ready] of prepared.entries()) samples[at]?.push(await ready[what]());
  }
  for (const ready of prepared) await ready.close();
  const tokens = what === 'decode' ? sequences : past;
  return samples.map((ms) => (1000 * tokens) / median(ms));
}

/** What the weights' format makes of speed and size, at a size that people use. */
export const weights: Suite = {
  name: 'weights',
  about:
    "a LLaMA of SmolLM2's shape, 135 million parameters, by its weights; against llama.cpp and transformers.js where they are",
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-weights-'));
    const ways: Way[] = [];
    try {
      say('weights: writing a checkpoint of 135 million random weights, and compiling it');
      let buffers: readonly KvNumbers[] | undefined;
      const bundles = await compileRandomLlama(folder, comparedWeights);
      for (const bundle of bundles) {
        // One cache for all, since only one computes at a time.
        buffers ??= cacheBuffers(bundle.manifest.llm, Math.max(...batches), capacity);
        ways.push(await graphWay(bundle, buffers));
      }
      for (const buffer of buffers ?? []) buffer.fill(0.05);
      for (const kind of ggufKinds) {
        const way = await llamaCppWay(kind, folder);
        if (way !== undefined) ways.push(way);
      }
      const llamaCpp = ways.length > comparedWeights.length;
      if (!llamaCpp) say('weights: node-llama-cpp is not installed, so nothing is compared with it');
      const transformers = findTransformersJs();
      for (const kind of transformers === undefined ? [] : exportedKinds) {
        const bundle = bundles.find(({ manifest }) => manifest.weights === kind) as Bundle;
        ways.push(await transformersWay(transformers as string, bundle, kind, folder));
      }
      if (transformers === undefined)
        say('weights: @huggingface/transformers is not installed, so nothing is compared with it');
      const columns: number[][] = [];
      for (const batch of batches) {
        say(`weights: decoding ${batch} at once, ${times(15)} rounds`);
        columns.push(await rates(ways, batch, times(15), 'decode'));
      }
      say('weights: prompts');
      columns.push(await rates(ways, 1, times(3), 'prefill'));
      const rows = ways.map(({ name, megabytes }, at): Cell[] => [name, megabytes, ...columns.map((of) => of[at])]);
      return [
        {
          title: "Weights, on a LLaMA of SmolLM2's shape",
          notes: [
            `135 million random weights, one thread, over ${past} tokens; tokens of all sequences together per second of processor time,`,
            `medians of ${times(15)} alternating rounds. The graph alone, its cache in place: neither scheduling nor sampling. Megabytes are`,
            'those of the bundle.',
            llamaCpp
              ? 'llama.cpp through node-llama-cpp, which chooses the next token, too; a GGUF file of random blocks, its head in Q8_0.'
              : 'Not compared with llama.cpp: install node-llama-cpp@3.21.1 with `npm install --no-save`, or elsewhere and name the folder in BENCH_NODE_LLAMA_CPP.',
            transformers !== undefined
              ? "transformers.js: a forward pass, no choice of a token; the same layers and float32 weights as its script exports them, q4 with that script's defaults."
              : 'Not compared with transformers.js: install @huggingface/transformers in the same way, or name its folder in BENCH_TRANSFORMERS_JS.',
          ],
          columns: [
            { title: 'weights' },
            { title: 'MB' },
            ...batches.map((batch) => ({ title: `${batch} at once` })),
            { title: `prompt of ${past}` },
          ],
          rows,
        },
      ];
    } finally {
      for (const way of ways) await way.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
};
