import { demoBundle } from '@tessera/compiler/testing/demo-model';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { BoundGraph, CopyingGraph, cacheBuffers, type GraphCall } from '../subjects/llm-graph.js';
import { type Taken, timed } from '../taken.js';
import type { Suite, SuiteContext } from './suite.js';

const decodes: readonly GraphCall[] = [1, 4, 8, 16].flatMap((batch) =>
  [64, 256, 1024, 1900].map((past) => ({ batch, seq: 1, past })),
);
const prefills: readonly GraphCall[] = [0, 256, 1024, 1700].map((past) => ({ batch: 1, seq: 256, past }));

/** What it costs that ONNX Runtime's Node binding copies the cache, against a cache that is written in place. */
export const kvCache: Suite = {
  name: 'kv',
  about: "a call of the LLM's graph by the length of its past: the cache copied against the cache in place",
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const bundle = await demoBundle('float32');
    const { llm } = bundle.manifest;
    const capacity = llm.maxPositions;
    const slots = Math.max(...decodes.map(({ batch }) => batch));
    // One cache for all ways, so that all have the same pages.
    const buffers = cacheBuffers(llm, slots, capacity);
    const copying = await CopyingGraph.create(bundle, buffers);
    const [inThread, inPool] = await Promise.all([
      BoundGraph.create(bundle, { backend: 'native' }, capacity, buffers),
      BoundGraph.create(bundle, { backend: 'native', runs: 'in-pool' }, capacity, buffers),
    ]);
    const measure = async (call: GraphCall): Promise<Cell[]> => {
      const rounds = times(60);
      say(`kv: ${call.batch} x ${call.seq} over ${call.past}, ${rounds} rounds`);
      // The same at every position: a tight cache and one of long slots then hold the same.
      for (const buffer of buffers) buffer.fill(0.05);
      // As tight as a cache can be that is copied.
      const copy = copying.prepare(call, call.past);
      const bound = [inThread, inPool].map((graph) => graph.bind(call));
      const expected = await copy();
      for (const { binding, logits } of bound) {
        await binding.run();
        if (logits.some((value, at) => value !== expected[at])) throw new Error('the ways give different logits');
      }
      const ways = [
        copy,
        ...bound.map(
          ({ binding }) =>
            () =>
              binding.run(),
        ),
      ];
      const samples: Taken[][] = ways.map(() => []);
      for (let round = 0; round < rounds; round++) {
        // Another one first each time: which way comes after which matters where others want the cores.
        for (let turn = 0; turn < ways.length; turn++) {
          const at = (round + turn) % ways.length;
          samples[at]?.push(await timed(ways[at] as () => Promise<unknown>));
        }
      }
      for (const { binding } of bound) await binding.release();
      const [copied = Number.NaN, inPlace = Number.NaN, pooled] = samples.map((of) => median(of.map(({ ms }) => ms)));
      const [busy = Number.NaN, busyInPlace = Number.NaN] = samples.map((of) =>
        median(of.map(({ processorMs }) => processorMs)),
      );
      const ratios = [copied / inPlace, busy, busyInPlace, busy / busyInPlace];
      return [call.batch, call.seq, call.past, copied, inPlace, ...ratios, pooled];
    };
    const rebindUs = async (call: GraphCall): Promise<number> => {
      const { binding } = inThread.bind(call);
      const ms: number[] = [];
      for (let round = 0; round < times(200); round++) {
        ms.push((await timed(async () => inThread.rebind(binding, call))).ms);
      }
      await binding.release();
      return median(ms) * 1000;
    };
    try {
      const rows: Cell[][] = [];
      for (const call of [...decodes, ...prefills]) rows.push(await measure(call));
      const names = 7 + 1 + 4 * llm.layers;
      const rebinds = await Promise.all(
        [1, slots].map(async (batch) => [batch, names, await rebindUs({ batch, seq: 1, past: 64 })]),
      );
      return [
        {
          title: 'The KV cache copied, and in place',
          notes: [
            `Calls of the demo model's graph in one thread, float32, ${times(60)} alternating rounds, medians. "Copied": Session.run, which`,
            'copies it, with a past as tight as it can be, the new rows given back and not yet appended. "In place": a binding made',
            `once, over slots of ${capacity} rows, that computes in the calling thread; "pool": on one of libuv's. Logits are the same,`,
            'bit for bit. Processor time is that of the whole process.',
          ],
          columns: [
            { title: 'sequences' },
            { title: 'tokens of each' },
            { title: 'past' },
            { title: 'copied, ms', digits: 2 },
            { title: 'in place, ms', digits: 2 },
            { title: 'copied / in place', digits: 2 },
            { title: 'copied, processor ms', digits: 2 },
            { title: 'in place, processor ms', digits: 2 },
            { title: 'the same by processor time', digits: 2 },
            { title: 'in place, pool, ms', digits: 2 },
          ],
          rows,
        },
        {
          title: 'Binding everything anew',
          notes: ['All inputs and outputs of the same graph, cache included; the arrays of a step are made with it.'],
          columns: [{ title: 'sequences' }, { title: 'names' }, { title: 'us', digits: 0 }],
          rows: rebinds,
        },
      ];
    } finally {
      for (const graph of [copying, inThread, inPool]) await graph.release();
    }
  },
};
