import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kvCacheTypes } from '@tessera/bundle';
import { narrowToFloat16 } from '@tessera/protocol';
import { compileRandomLlama } from '../random-llama/compile-random-llama.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { BoundGraph, cacheBuffers, type GraphCall } from '../subjects/llm-graph.js';
import { timed } from '../taken.js';
import type { Suite, SuiteContext } from './suite.js';

const calls: readonly GraphCall[] = [
  ...[1, 8].flatMap((batch) => [64, 512, 1900].map((past) => ({ batch, seq: 1, past }))),
  { batch: 1, seq: 256, past: 1024 },
];
const capacity = 2048;
const slots = Math.max(...calls.map(({ batch }) => batch));
/** What every key and value is. */
const filling = Float32Array.of(0.05);

/** What a KV cache in half of the memory costs in time, and changes in the logits. */
export const kvTypes: Suite = {
  name: 'kv-types',
  about: "a LLaMA of SmolLM2's shape in int4: its cache in float32 and in float16",
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-kv-types-'));
    const graphs: BoundGraph[] = [];
    try {
      say('kv-types: writing a checkpoint of 135 million random weights, and compiling it twice');
      const megabytes: number[] = [];
      for (const kvCache of kvCacheTypes) {
        const [bundle] = await compileRandomLlama(join(folder, kvCache), ['int4'], kvCache);
        const buffers = cacheBuffers(bundle.manifest.llm, slots, capacity);
        for (const buffer of buffers)
          buffer.fill((buffer instanceof Uint16Array ? narrowToFloat16(filling) : filling)[0] as number);
        megabytes.push(buffers.reduce((sum, { byteLength }) => sum + byteLength / 1e6, 0));
        graphs.push(await BoundGraph.create(bundle, { backend: 'native' }, capacity, buffers));
      }
      const rows: Cell[][] = [];
      for (const call of calls) {
        const rounds = times(call.seq > 1 ? 5 : 25);
        say(`kv-types: ${call.batch} x ${call.seq} over ${call.past}, ${rounds} rounds`);
        const bound = graphs.map((graph) => graph.bind(call));
        const samples: number[][] = graphs.map(() => []);
        for (const { binding } of bound) await binding.run();
        for (let round = 0; round < rounds; round++) {
          for (let turn = 0; turn < bound.length; turn++) {
            const at = (round + turn) % bound.length;
            samples[at]?.push((await timed(() => (bound[at] as (typeof bound)[number]).binding.run())).processorMs);
          }
        }
        for (const { binding } of bound) await binding.release();
        const [float32 = Number.NaN, float16 = Number.NaN] = samples.map(median);
        rows.push([call.batch, call.seq, call.past, float32, float16, float16 / float32]);
      }
      return [
        {
          title: "A KV cache of float16, on a LLaMA of SmolLM2's shape",
          notes: [
            `135 million random weights in int4, one thread, slots of ${capacity} rows written in place, processor time, medians of`,
            `${times(25)} (prompts: ${times(5)}) alternating rounds. ${slots} slots take ${megabytes.map((each) => each.toFixed(0)).join(' and ')} MB.`,
          ],
          columns: [
            { title: 'sequences' },
            { title: 'tokens of each' },
            { title: 'past' },
            { title: 'float32, ms', digits: 2 },
            { title: 'float16, ms', digits: 2 },
            { title: 'float16 / float32', digits: 2 },
          ],
          rows,
        },
      ];
    } finally {
      for (const graph of graphs) await graph.release();
      await rm(folder, { recursive: true, force: true });
    }
  },
};
