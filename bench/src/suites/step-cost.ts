import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { greedySampling, Sampler } from '@tessera/llm';
import { compileRandomLlama } from '../random-llama/compile-random-llama.js';
import type { Section } from '../report.js';
import { median } from '../statistics.js';
import { BoundGraph, cacheBuffers } from '../subjects/llm-graph.js';
import { LlmService } from '../subjects/llm-service.js';
import { timed } from '../taken.js';
import type { Suite, SuiteContext } from './suite.js';

const streams = 8;
const answerTokens = 192;
const callsARound = 20;
/** The bench's slots; more than an answer needs. */
const capacity = 512;

/** What stands between a bare call of the graph and tokens on gRPC streams. */
export const stepCost: Suite = {
  name: 'step-cost',
  about: `what scheduling and gRPC add to a step of ${streams} sequences; 135 million parameters in int4, the llm's own door`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const rounds = times(5);
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-step-cost-'));
    try {
      say('step-cost: writing a checkpoint of 135 million random weights, and compiling it');
      const [bundle] = await compileRandomLlama(folder, ['int4'] as const);
      const buffers = cacheBuffers(bundle.manifest.llm, streams, capacity);
      for (const buffer of buffers) buffer.fill(0.05);
      const graph = await BoundGraph.create(bundle, { backend: 'native' }, capacity, buffers);
      await using service = await LlmService.start(bundle.dir);
      say('step-cost: warming up');
      const { past } = await service.steps(streams, answerTokens);
      const { binding, logits } = graph.bind({ batch: streams, seq: 1, past });
      await binding.run();
      const { vocabSize } = bundle.manifest.llm;
      const rows = Array.from({ length: streams }, (_, row) => logits.subarray(row * vocabSize, (row + 1) * vocabSize));
      const samplers = rows.map(() => new Sampler(greedySampling));
      const sample = async (position: number): Promise<void> => {
        for (const [row, sampler] of samplers.entries()) sampler.sample(rows[row] as Float32Array, position);
      };
      const [stepMs, graphMs, sampleMs]: [number[], number[], number[]] = [[], [], []];
      const added: number[] = [];
      let position = 0;
      for (let warm = 0; warm < callsARound; warm++) await sample(position++);
      const bare = async (): Promise<void> => {
        for (let call = 0; call < callsARound; call++) {
          graphMs.push((await timed(() => binding.run())).processorMs);
          sampleMs.push((await timed(() => sample(position++))).processorMs);
        }
      };
      say(`step-cost: ${rounds} rounds`);
      for (let round = 0; round < rounds; round++) {
        const since = graphMs.length;
        await bare();
        const taken = await service.steps(streams, answerTokens);
        await bare();
        const step = taken.processorMs / taken.steps;
        stepMs.push(step);
        // Against the calls right before and after, since the machine is not as fast all the time.
        added.push(step - median(graphMs.slice(since)) - median(sampleMs.slice(since)));
      }
      await binding.release();
      await graph.release();
      const [step, call, sampled, more] = [stepMs, graphMs, sampleMs, added].map(median) as [
        number,
        number,
        number,
        number,
      ];
      return [
        {
          title: `What scheduling and gRPC add to a step of ${streams} sequences`,
          notes: [
            `135 million random weights in int4, one thread; answers of ${answerTokens} tokens on ${streams} gRPC streams at once, chosen greedily, past`,
            `${past} tokens in the middle. All processor time of the llm's process while all streams wrote, by step; the graph's call and the`,
            `choice of ${streams} tokens alone, right before and after it in another process. Medians of ${rounds} rounds.`,
          ],
          columns: [
            { title: 'step of the service, ms', digits: 2 },
            { title: 'graph alone, ms', digits: 2 },
            { title: 'sampling alone, ms', digits: 2 },
            { title: 'the rest, ms', digits: 2 },
            { title: '% of the graph', digits: 1 },
          ],
          rows: [[step, call, sampled, more, (100 * more) / call]],
        },
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
