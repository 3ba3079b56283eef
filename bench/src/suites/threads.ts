import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileRandomLlama } from '../random-llama/compile-random-llama.js';
import type { Cell, Section } from '../report.js';
import { cacheBuffers } from '../subjects/llm-graph.js';
import { graphWay, llamaCppWay, type Measured, rates, type Way } from '../subjects/ways.js';
import type { Suite, SuiteContext } from './suite.js';

const past = 512;
const capacity = past + 128;
const batches = [1, 8];
const threadCounts = [1, 2];

/** What a second thread gains, beside what it gains elsewhere. */
export const threads: Suite = {
  name: 'threads',
  about: "a LLaMA of SmolLM2's shape in int4, in one thread and in two, by the clock; against llama.cpp where it is",
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-threads-'));
    try {
      say('threads: writing a checkpoint of 135 million random weights, and compiling it');
      const [bundle] = await compileRandomLlama(folder, ['int4']);
      const buffers = cacheBuffers(bundle.manifest.llm, Math.max(...batches), capacity);
      for (const buffer of buffers) buffer.fill(0.05);
      const rows: Cell[][] = [];
      for (const count of threadCounts) {
        const measured: Measured = { past, threads: count, by: 'ms' };
        const ways: Way[] = [await graphWay(bundle, { capacity, buffers }, measured)];
        try {
          const other = await llamaCppWay('Q4_0', folder, measured);
          if (other === undefined) say('threads: node-llama-cpp is not installed, so nothing is compared with it');
          else ways.push(other);
          const columns: number[][] = [];
          for (const batch of batches) {
            say(`threads: ${count}, decoding ${batch} at once, ${times(15)} rounds`);
            columns.push(await rates(ways, batch, times(15), 'decode'));
          }
          say(`threads: ${count}, prompts`);
          columns.push(await rates(ways, 1, times(5), { prefill: past }));
          const ratio = (of: readonly number[]): number | undefined =>
            of[1] === undefined ? undefined : (of[0] as number) / of[1];
          rows.push(...ways.map(({ name }, at): Cell[] => [count, name, ...columns.map((of) => of[at])]));
          rows.push([count, 'ratio', ...columns.map(ratio)]);
        } finally {
          for (const way of ways) await way.close();
        }
      }
      return [
        {
          title: "One thread and two, on a LLaMA of SmolLM2's shape",
          notes: [
            `135 million random weights in int4, over ${past} tokens; tokens of all sequences together per second by the clock, medians of`,
            `${times(15)} (prompts: ${times(5)}) alternating rounds, and int4 by llama.cpp's Q4_0. The graph alone, its cache in place.`,
          ],
          columns: [
            { title: 'threads' },
            { title: 'weights' },
            ...batches.map((batch) => ({ title: `${batch} at once`, digits: 2 })),
            { title: `prompt of ${past}`, digits: 2 },
          ],
          rows,
        },
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
