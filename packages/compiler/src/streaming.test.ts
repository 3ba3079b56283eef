import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { captureOutput } from '@tessera/testing/processes/capture-output';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildGraphs, bytesOnDisk } from './bundle-graphs.js';
import { DeclaredParameters } from './checkpoint/parameters.js';
import { compileCheckpoint } from './compile-checkpoint.js';
import type { StagePieces } from './models/model-plan.js';
import { planModel } from './models/plan-model.js';
import { writeSparseLlama } from './testing/write-sparse-llama.js';

let root = '';

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tessera-streaming-'));
});

afterEach(() => rm(root, { recursive: true, force: true }));

const megabyte = 1e6;
/** Node with the compiler has 70 to 100 MB of it; the rest are a few buffers, whatever the size of a tensor. */
const mostBytes = 300 * megabyte;

/** Compiles in a process of its own, and gives the most resident memory that it had. */
async function peakBytes(checkpoint: string, out: string, weights: string): Promise<number> {
  const script = `
    const { compileCheckpoint } = await import('@tessera/compiler');
    await compileCheckpoint(${JSON.stringify(checkpoint)}, ${JSON.stringify(out)}, { weights: '${weights}' });
    process.stdout.write(String(1024 * process.resourceUsage().maxRSS));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return Number((await captureOutput(child).ended).stdout);
}

test.each([
  // The table of embeddings is copied, and rounded for the head.
  ['int4', true, 98_304],
  // The head is turned.
  ['float32', false, 40_960],
])('memory does not grow with the tensors: %s, tied: %s, %i words', async (weights, tied, vocabulary) => {
  const checkpoint = join(root, 'sparse');
  const sizes = { vocabulary, hidden: 1024, inner: 1024, layers: 1, tied };
  const { largest } = await writeSparseLlama(checkpoint, sizes);
  const peak = await peakBytes(checkpoint, join(root, 'bundle'), weights);
  // Held whole once, as values and as what is made of them, the tensors would be beyond that.
  expect(largest * (tied ? 1 : 2) + 70 * megabyte).toBeGreaterThan(mostBytes);
  expect(peak).toBeGreaterThan(40 * megabyte);
  expect(peak).toBeLessThan(mostBytes);
});

test('a disk without room for the bundle is said before anything is written or read', async () => {
  const checkpoint = join(root, 'sparse');
  const { bytes } = await writeSparseLlama(checkpoint, {
    vocabulary: 2 ** 30,
    hidden: 2048,
    inner: 64,
    layers: 1,
    tied: true,
  });
  // Eight terabytes, without a digest given: to read them would take longer than any test may.
  expect(bytes).toBeGreaterThan(8e12);
  await expect(compileCheckpoint(checkpoint, join(root, 'bundle'), { weights: 'float32' })).rejects.toMatchObject({
    code: 'STORAGE_FULL',
    message: expect.stringMatching(/^the bundle needs [\d,]+ MB, and the disk of .*bundle.* has [\d,]+ MB free$/),
  });
  expect(await readdir(root)).toEqual(['sparse']);
});

test.each([undefined, 'layers=2'] as const)('a bundle takes as much as was asked for before: cut %s', async (cut) => {
  const checkpoint = join(root, 'sparse');
  await writeSparseLlama(checkpoint, { vocabulary: 2048, hidden: 128, inner: 512, layers: 3, tied: true });
  const out = join(root, 'bundle');
  await compileCheckpoint(checkpoint, out, { weights: 'int4', cut });
  const files = (await readdir(out)).filter((name) => name.endsWith('.data'));
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(out, name))).size));
  const written = sizes.reduce((sum, size) => sum + size, 0);
  const { llm } = (await readBundle(out)).manifest;
  const { stages } = planModel(JSON.parse(await readFile(join(checkpoint, 'config.json'), 'utf8')));
  const asked = bytesOnDisk(buildGraphs(new DeclaredParameters(), stages as StagePieces, llm, 'int4'));
  // Tensors begin on pages, and the smallest are in the graph: some percent here, where the table counted twice would be 40.
  expect(written / asked).toBeGreaterThan(0.98);
  expect(written / asked).toBeLessThan(1.1);
});
