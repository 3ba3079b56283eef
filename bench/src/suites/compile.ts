import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SparseLlamaOptions, writeSparseLlama } from '@tessera/compiler/testing/write-sparse-llama';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import type { CompileCalls } from '../processes/compile-main.js';
import { Helper } from '../processes/helper.js';
import { writeGguf } from '../random-llama/write-gguf.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import type { Taken } from '../taken.js';
import type { Suite, SuiteContext } from './suite.js';

const kinds = ['int4', 'int4-g128-zp', 'int8', 'float16', 'float32'] as const;
const rounds = 5;

/** Layers of LLaMA 7B's shape, with a vocabulary that is as small beside them as it is beside 32. */
const filled: SparseLlamaOptions = { vocabulary: 4096, hidden: 4096, inner: 11008, layers: 1, tied: true };
/** Llama 3's table of embeddings, of 2.1 GB in float32, and layers of its width up to 8 GB. */
const large: SparseLlamaOptions = { vocabulary: 128256, hidden: 4096, inner: 14336, layers: 7, tied: true };

/** Of what is repeated over a whole file: no processor keeps it in mind, and no disk finds it twice. */
const patternValues = 1 << 20;

/** Writes weights of a bell curve over the holes of a file. */
async function fill(path: string, bytes: number): Promise<void> {
  const random = seededRandom(7);
  const values = Float32Array.from({ length: patternValues }, () => (random() + random() + random() - 1.5) * 0.08);
  const pattern = new Uint8Array(values.buffer);
  const file = await open(path, 'r+');
  try {
    // From the first weight on: what lay across two would be anything.
    const prefix = Buffer.alloc(8);
    await file.read(prefix, 0, 8, 0);
    for (let at = 8 + Number(prefix.readBigUInt64LE()); at < bytes; at += pattern.length) {
      await file.write(pattern, 0, Math.min(pattern.length, bytes - at), at);
    }
  } finally {
    await file.close();
  }
}

async function compiled(dir: string, out: string, weights: (typeof kinds)[number]) {
  using helper = new Helper<CompileCalls>('compile');
  const taken = await helper.call('compile', { dir, out, weights });
  await rm(out, { recursive: true });
  return taken;
}

async function copied(from: string, to: string): Promise<Taken> {
  using helper = new Helper<CompileCalls>('compile');
  const taken = await helper.call('copy', { from, to });
  await rm(to);
  return taken;
}

/** How fast a checkpoint is compiled, and in how much memory. */
export const compile: Suite = {
  name: 'compile',
  about:
    'float32 weights to each precision, MB/s beside a plain copy of the file; blocks of a GGUF file as they are; peak memory of a checkpoint of 8 GB',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-compile-'));
    try {
      const dir = join(folder, 'filled');
      const out = join(folder, 'out');
      const path = join(dir, 'model.safetensors');
      const { bytes } = await writeSparseLlama(dir, filled);
      say(`compile: writing ${Math.round(bytes / 1e6)} MB of weights`);
      await fill(path, bytes);
      const copies: Taken[] = [];
      const taken = new Map(kinds.map((kind) => [kind, [] as Awaited<ReturnType<typeof compiled>>[]]));
      for (let round = 0; round < times(rounds); round++) {
        say(`compile: round ${round + 1} of ${times(rounds)}`);
        copies.push(await copied(path, out));
        for (const [kind, of] of taken) of.push(await compiled(dir, out, kind));
      }
      const speed = (of: readonly Taken[], time: 'ms' | 'processorMs'): number =>
        bytes / 1e3 / median(of.map((one) => one[time]));
      const row = (name: string, of: readonly Taken[], peak?: number): Cell[] => [
        name,
        speed(of, 'processorMs'),
        speed(of, 'ms'),
        speed(copies, 'ms') / speed(of, 'ms'),
        peak,
      ];
      const gguf = join(folder, 'random.gguf');
      await writeGguf(gguf, 'Q8_0');
      const ggufBytes = (await stat(gguf)).size;
      const ofGguf: Awaited<ReturnType<typeof compiled>>[] = [];
      say(`compile: a GGUF file of ${Math.round(ggufBytes / 1e6)} MB`);
      for (let round = 0; round < times(rounds); round++) ofGguf.push(await compiled(gguf, out, 'int8'));
      const ggufSpeed = (time: 'ms' | 'processorMs'): number =>
        ggufBytes / 1e3 / median(ofGguf.map((one) => one[time]));
      const sparse = join(folder, 'sparse');
      const sizes = await writeSparseLlama(sparse, large);
      say(`compile: a sparse checkpoint of ${(sizes.bytes / 1e9).toFixed(1)} GB`);
      const { peakBytes } = await compiled(sparse, out, 'int4');
      return [
        {
          title: 'Compiling float32 weights',
          notes: [
            `${Math.round(bytes / 1e6)} MB of random float32 weights, one layer of LLaMA 7B's shape and a small vocabulary, all of compileCheckpoint: digests of`,
            `the checkpoint and of the bundle's files too. Each in a process of its own; medians of ${times(rounds)} alternating rounds. Processor time is of`,
            'all threads together: what one core would take.',
          ],
          columns: [
            { title: 'weights' },
            { title: 'MB/s of processor time' },
            { title: 'MB/s by the clock' },
            { title: 'times a copy', digits: 1 },
            { title: 'peak memory, MB' },
          ],
          rows: [
            row('a plain copy of the file', copies),
            ...[...taken].map(([kind, of]) => row(kind, of, Math.max(...of.map((one) => one.peakBytes)) / 1e6)),
          ],
        },
        {
          title: 'Compiling a GGUF file whose blocks stay as they are',
          notes: [
            `${Math.round(ggufBytes / 1e6)} MB of random blocks of Q8_0 in SmolLM2's shape to int8: read, laid as MatMulNBits has them, written and digested. The embedding,`,
            'a fifth of it, becomes float32 too. Megabytes are those of the file.',
          ],
          columns: [
            { title: 'weights' },
            { title: 'MB/s of processor time' },
            { title: 'MB/s by the clock' },
            { title: 'peak memory, MB' },
          ],
          rows: [
            ['Q8_0', ggufSpeed('processorMs'), ggufSpeed('ms'), Math.max(...ofGguf.map((one) => one.peakBytes)) / 1e6],
          ],
        },
        {
          title: 'Memory of compiling a large checkpoint',
          notes: ['A sparse file of float32 weights, all zero, to int4; in a process of its own.'],
          columns: [
            { title: 'checkpoint, GB', digits: 1 },
            { title: 'largest tensor, MB' },
            { title: 'peak memory, MB' },
            { title: 'limit: 1.5 tensors and 300 MB' },
          ],
          rows: [[sizes.bytes / 1e9, sizes.largest / 1e6, peakBytes / 1e6, (1.5 * sizes.largest) / 1e6 + 300]],
        },
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
