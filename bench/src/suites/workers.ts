import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DecodeCalls } from '../processes/decode-main.js';
import { Helper } from '../processes/helper.js';
import { compileRandomLlama } from '../random-llama/compile-random-llama.js';
import type { Section } from '../report.js';
import { median } from '../statistics.js';
import type { Suite, SuiteContext } from './suite.js';

const batch = 8;
const past = 512;
const windowMs = 3000;

/** What a second process of one thread adds on a machine of two cores: both read their weights from the same memory. */
export const workers: Suite = {
  name: 'workers',
  about: `two processes that decode ${batch} sequences each, against one; 135 million parameters in int4, by the clock`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const rounds = times(8);
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-workers-'));
    // Their environment is the bench's own, which asks for huge pages.
    using first = new Helper<DecodeCalls>('decode');
    using second = new Helper<DecodeCalls>('decode');
    try {
      say('workers: writing a checkpoint of 135 million random weights, and compiling it');
      const [{ dir }] = await compileRandomLlama(folder, ['int4'] as const);
      const both = [first, second];
      await Promise.all(both.map((worker) => worker.call('open', { dir, batch, past })));
      const rate = async (of: readonly Helper<DecodeCalls>[]): Promise<number> => {
        const steps = await Promise.all(of.map((worker) => worker.call('decode', { ms: windowMs })));
        return batch * steps.reduce((sum, each) => sum + each, 0);
      };
      say(`workers: ${rounds} rounds of ${(2 * windowMs) / 1000} s`);
      const [one, two]: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds; round++) {
        one.push(await rate([both[round % 2] as Helper<DecodeCalls>]));
        two.push(await rate(both));
      }
      const ratios = two.map((together, round) => together / (one[round] ?? Number.NaN));
      return [
        {
          title: 'Two processes of one thread against one',
          notes: [
            `135 million random weights in int4, ${batch} sequences of ${past} tokens each; ${rounds} alternating rounds of ${windowMs / 1000} s, medians. The graph`,
            'alone. By the clock: whatever else runs on the machine takes from the pair first, so this says something on a quiet',
            'machine of two cores or more only.',
          ],
          columns: [
            { title: 'one, tokens/s' },
            { title: 'two, tokens/s' },
            { title: 'ratio', digits: 2 },
            { title: 'least', digits: 2 },
            { title: 'largest', digits: 2 },
          ],
          rows: [[median(one), median(two), median(ratios), Math.min(...ratios), Math.max(...ratios)]],
        },
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
