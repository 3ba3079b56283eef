import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Bundle, readBundle } from '@tessera/bundle';
import { ChildService } from '@tessera/cli';
import { compileCheckpoint } from '@tessera/compiler';
import { type EngineConfig, Llm, type ThreadedEngine } from '@tessera/llm';
import { startNatsServer } from '@tessera/nats-server';
import { writeCheckpoint } from '../random-llama/write-checkpoint.js';
import { median, summarise } from '../statistics.js';
import { benchLimits } from '../subjects/local-pipeline.js';
import { stepMs, write } from '../subjects/writing-engine.js';
import type { Suite, SuiteContext } from './suite.js';

const batches = [1, 8];
const answerTokens = 32;
/** The cache of either engine, so that they differ in nothing else. */
const kvBytes = 256 << 20;
/** A prompt of some 400 tokens. */
const longPrompt = 'Describe the picture, and then count to five and back to one. '.repeat(24);

/** The second of two pieces, in a process of its own. */
async function startShard(bundle: Bundle) {
  const nats = await startNatsServer();
  const main = fileURLToPath(new URL('./main.js', import.meta.resolve('@tessera/llm')));
  const flags = ['--role', 'layers', '--layers-piece', '1', '--kv-max-bytes', String(2 * kvBytes)];
  const service = new ChildService(
    'llm',
    main,
    [...flags, '--model-dir', bundle.dir, '--nats-url', nats.url],
    () => undefined,
  );
  const { grpc } = await service.start();
  return {
    shard: { shardId: 'bench', address: grpc, piece: 1, freePositions: 0 },
    async [Symbol.asyncDispose]() {
      await service.stop(10_000);
      await nats.stop();
    },
  };
}

/** Milliseconds until the first token of a long prompt that comes while so many sequences write. */
async function prefillBesideMs(llm: Llm<ThreadedEngine>, sequences: number): Promise<number> {
  const writing = Array.from({ length: sequences }, () => write(llm, 'Hello!', answerTokens));
  // Their own prompts are computed by then.
  await pause(300);
  const firstMs = await write(llm, longPrompt, 2);
  await Promise.all(writing);
  return firstMs;
}

/** What it costs to have the second half of a model's layers in another process. */
export const layerShards: Suite = {
  name: 'layers',
  about: 'a step of a 135M model whose layers are in two processes against one, alone and with a prompt beside it',
  async run({ times, say }: SuiteContext) {
    const rounds = times(3);
    const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-'));
    try {
      say('layers: compiling a model of 135 million random parameters');
      await writeCheckpoint(join(folder, 'random'));
      await compileCheckpoint(join(folder, 'random'), join(folder, 'bundle'), { weights: 'float32', cut: 'layers=2' });
      const bundle = await readBundle(join(folder, 'bundle'));
      await using held = await startShard(bundle);
      const limits = { ...benchLimits, kvBytes, reusePrefixes: false };
      const base: EngineConfig = { modelDir: bundle.dir, session: { threads: 1, device: 'cpu' }, limits };
      const none = undefined;
      const tls = { caFile: none, certFile: none, keyFile: none, serverName: none, refreshMs: 60_000 };
      const calls: number[] = [];
      const inPieces = async (stepsAtOnce: number): Promise<Llm<ThreadedEngine>> => {
        const layers = {
          rowType: 'float32',
          stepsAtOnce,
          callTimeoutMs: 60_000,
          maxMessageBytes: 4 << 20,
          tls,
        } as const;
        const onLayers = ({ callSeconds }: { callSeconds: readonly number[] }) => calls.push(...callSeconds);
        const llm = await Llm.inThread({ ...base, layers: { ...layers, maxPositions: 4096 } }, { onLayers });
        llm.engine.setLayerShards([held.shard]);
        return llm;
      };
      const ways = [await Llm.inThread(base), await inPieces(1), await inPieces(2)] as const;
      try {
        const rows: (number | string)[][] = [];
        const measure = async (what: string, one: (llm: Llm<ThreadedEngine>) => Promise<number>): Promise<void> => {
          say(`layers: ${what}, ${rounds} rounds`);
          const taken = ways.map((): number[] => []);
          for (const llm of ways) await one(llm);
          calls.length = 0;
          for (let round = 0; round < rounds; round++) {
            for (const [at, llm] of ways.entries()) taken[at]?.push(await one(llm));
          }
          await ways[1].engine.report();
          const [whole, cut, split] = taken.map((each) => median(each)) as [number, number, number];
          rows.push([what, whole, cut, cut / whole, split, split / whole, summarise(calls).median * 1000]);
        };
        for (const batch of batches) {
          await measure(`a step of ${batch} that write`, (llm) => stepMs(llm, batch, answerTokens));
        }
        await measure('first token of a long prompt beside 4 that write', (llm) => prefillBesideMs(llm, 4));
        return [
          {
            title: 'Layers in two processes',
            notes: [
              `A LLaMA of 135M random parameters in float32, one thread a process; ${rounds} alternating rounds, medians of the mean`,
              `step of a round of ${answerTokens} tokens. Pieces of ${bundle.layerPieces.pieces.map(({ layers }) => layers).join(' and ')} layers; embedding and head are in the first process.`,
            ],
            columns: [
              { title: 'what' },
              { title: 'one process, ms', digits: 2 },
              { title: 'two, ms', digits: 2 },
              { title: 'ratio', digits: 2 },
              { title: 'two, 2 steps at once, ms', digits: 2 },
              { title: 'ratio', digits: 2 },
              { title: 'call p50, ms', digits: 2 },
            ],
            rows,
          },
        ];
      } finally {
        for (const llm of ways) await llm.close();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
