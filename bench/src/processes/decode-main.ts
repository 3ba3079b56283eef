import { readBundle } from '@tessera/bundle';
import { BoundGraph, cacheBuffers, type GraphCall } from '../subjects/llm-graph.js';
import { answerCalls } from './answer-calls.js';

let step: () => Promise<void> = async () => {};

/** A process of one thread that decodes. */
const calls = {
  async open({ dir, batch, past }: Pick<GraphCall, 'batch' | 'past'> & { readonly dir: string }): Promise<void> {
    const bundle = await readBundle(dir);
    const capacity = past + 128;
    const buffers = cacheBuffers(bundle.manifest.llm, batch, capacity);
    for (const buffer of buffers) buffer.fill(0.05);
    const graph = await BoundGraph.create(bundle, { backend: 'native' }, capacity, buffers);
    const { binding } = graph.bind({ batch, seq: 1, past });
    step = () => binding.run();
    for (let warm = 0; warm < 3; warm++) await step();
  },

  /** Decodes for so long. @returns steps a second */
  async decode({ ms }: { readonly ms: number }): Promise<number> {
    const startedMs = performance.now();
    let steps = 0;
    let tookMs = 0;
    while (tookMs < ms) {
      await step();
      steps++;
      tookMs = performance.now() - startedMs;
    }
    return (1000 * steps) / tookMs;
  },
};

export type DecodeCalls = typeof calls;

answerCalls(calls);
