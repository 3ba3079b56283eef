import { join } from 'node:path';
import type { Bundle } from '@tessera/bundle';
import { type GgufWeights, writeGguf } from '../random-llama/write-gguf.js';
import { median } from '../statistics.js';
import { type Taken, timed } from '../taken.js';
import { LlamaCpp } from './llama-cpp.js';
import { BoundGraph, type KvNumbers } from './llm-graph.js';

const bytesPerMegabyte = 1e6;

/** One way to compute the model: what it weighs, and calls to measure, by how many sequences there are. */
export interface Way {
  readonly name: string;
  readonly megabytes?: number;
  prepare(sequences: number): Promise<{
    /** @returns milliseconds as the way measures them, as `prefill` does */
    decode(): Promise<number>;
    /** Of a prompt of as many tokens as sequences have. */
    prefill(): Promise<number>;
    close(): Promise<void>;
  }>;
  close(): Promise<void>;
}

export interface Measured {
  /** Tokens that each sequence has. */
  readonly past: number;
  readonly threads: number;
  /** Processor time says what a thread does beside other work on the machine; of several threads only the clock says what they gain. */
  readonly by: keyof Taken;
}

const msOf = async (by: keyof Taken, run: () => Promise<unknown>): Promise<number> => (await timed(run))[by];

function megabytesOf({ manifest }: Bundle): number {
  return Object.values(manifest.files).reduce((sum, { bytes }) => sum + bytes / bytesPerMegabyte, 0);
}

/** @param capacity rows of each slot of the buffers, more than `past` */
export async function graphWay(
  bundle: Bundle,
  { capacity, buffers }: { readonly capacity: number; readonly buffers: readonly KvNumbers[] },
  { past, threads, by }: Measured,
): Promise<Way> {
  const graph = await BoundGraph.create(bundle, { backend: 'native', threads }, capacity, buffers);
  return {
    name: bundle.manifest.weights,
    megabytes: megabytesOf(bundle),
    async prepare(batch) {
      const { binding: decode } = graph.bind({ batch, seq: 1, past });
      const { binding: prefill } = graph.bind({ batch: 1, seq: past, past: 0 });
      return {
        decode: () => msOf(by, () => decode.run()),
        prefill: () => msOf(by, () => prefill.run()),
        close: async () => {
          await decode.release();
          await prefill.release();
        },
      };
    },
    close: () => graph.release(),
  };
}

/** @returns undefined where node-llama-cpp is not installed */
export async function llamaCppWay(
  kind: GgufWeights,
  folder: string,
  { past, threads, by }: Measured,
): Promise<Way | undefined> {
  const file = join(folder, `${kind}.gguf`);
  const model = await LlamaCpp.open(threads, async () => {
    await writeGguf(file, kind);
    return file;
  });
  if (model === undefined) return undefined;
  return {
    name: `llama.cpp ${kind}`,
    async prepare(count) {
      const sequences = await model.sequences(count, past);
      return {
        decode: () => msOf(by, () => sequences.decode()),
        prefill: () => msOf(by, () => sequences.prefill()),
        close: () => sequences.close(),
      };
    },
    close: () => model.close(),
  };
}

/** Tokens per second of every way at one size of batch; the ways take turns. */
export async function rates(
  ways: readonly Way[],
  sequences: number,
  rounds: number,
  what: 'decode' | { readonly prefill: number },
): Promise<number[]> {
  const call = what === 'decode' ? what : 'prefill';
  const prepared = await Promise.all(ways.map((way) => way.prepare(sequences)));
  const samples: number[][] = ways.map(() => []);
  for (const ready of prepared) await ready[call]();
  for (let round = 0; round < rounds; round++) {
    for (const [at, ready] of prepared.entries()) samples[at]?.push(await ready[call]());
  }
  for (const ready of prepared) await ready.close();
  const tokens = what === 'decode' ? sequences : what.prefill;
  return samples.map((ms) => (1000 * tokens) / median(ms));
}
