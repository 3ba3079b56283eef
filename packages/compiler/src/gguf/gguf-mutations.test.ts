import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, onTestFinished, test } from 'vitest';
import { toyGguf } from '../testing/toy-gguf.js';
import { type GgufContent, ggufBytes } from '../testing/write-gguf.js';
import { GgufCheckpoint } from './gguf-checkpoint.js';

/** Of each file. */
const mutants = 5000;
/** What reading one may hold at a time, of a file of 20 kB. */
const maxBytes = 64 * 1024 * 1024;
/** Of objects, and of the process in all, beside what there was before the first: what is not collected yet among them. */
const maxHeapBytes = 256 * 1024 * 1024;
const maxGrowthBytes = 512 * 1024 * 1024;

/** What lengths, counts and places go wrong at. */
const absurd = [0n, 1n, 31n, 255n, 2n ** 16n, 2n ** 31n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

type Random = (below: number) => number;

/** A place in the header in nine of ten cases: what lies behind it is numbers, and most of them are fine. */
const place = (bytes: Buffer, header: number, random: Random): number =>
  random(10) > 0 ? random(Math.min(header, bytes.length)) : random(bytes.length);

const mutations: readonly ((bytes: Buffer, at: number, random: Random) => Buffer)[] = [
  (bytes, at, random) => {
    bytes[at] = (bytes[at] as number) ^ (1 << random(8));
    return bytes;
  },
  (bytes, at, random) => {
    bytes[at] = random(256);
    return bytes;
  },
  (bytes, at, random) => {
    if (at + 8 <= bytes.length) bytes.writeBigUInt64LE(absurd[random(absurd.length)] as bigint, at);
    return bytes;
  },
  (bytes, at, random) => {
    if (at + 4 <= bytes.length) bytes.writeUInt32LE(random(2) === 0 ? random(64) : 0xffffffff - random(64), at);
    return bytes;
  },
  (bytes, at) => bytes.subarray(0, at),
  (bytes, at, random) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(40))]),
  (bytes, at, random) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at - random(40)), bytes.subarray(at)]),
  (bytes, at, random) => {
    bytes.copy(bytes, random(bytes.length), at, at + random(64));
    return bytes;
  },
];

/** A dimension of a tensor that is named so. */
const mutateDimension =
  (names: readonly string[]) =>
  (bytes: Buffer, _: number, random: Random): Buffer => {
    const name = names[random(names.length)] as string;
    const found = bytes.indexOf(name);
    const at = found + name.length + 4 + 8 * random(3);
    if (found >= 0 && at + 8 <= bytes.length) {
      bytes.writeBigUInt64LE(absurd[random(absurd.length)] as bigint, at);
    }
    return bytes;
  };

/** The toy model with two experts for each MLP, packed in one tensor. */
function withExperts(): GgufContent {
  const { metadata, tensors } = toyGguf({ 'llama.expert_count': 2, 'llama.expert_used_count': 1 });
  const packed = tensors.map((tensor) => {
    if (!/ffn_(gate|up|down)/.test(tensor.name)) return tensor;
    const { name, shape, data } = tensor;
    return {
      ...tensor,
      name: name.replace('.weight', '_exps.weight'),
      shape: [2, ...shape],
      data: Buffer.concat([data, data]),
    };
  });
  const routers = [0, 1].map((layer) => ({
    name: `blk.${layer}.ffn_gate_inp.weight`,
    type: 0,
    shape: [2, 32],
    data: Buffer.alloc(4 * 2 * 32),
  }));
  return { metadata, tensors: [...packed, ...routers] };
}

/** Everything that compiling reads of a file. */
async function readAll(path: string): Promise<void> {
  const model = await GgufCheckpoint.open(path);
  try {
    for (const { name, shape } of model.tensors()) {
      const parameter = model.parameter(name, shape);
      await parameter.read();
      await parameter.stored?.readRows(0, shape[0] as number);
    }
  } finally {
    await model.close();
  }
}

test.each([
  ['a LLaMA', toyGguf()],
  ['one with experts', withExperts()],
])(`${mutants} damaged files of %s are read, or refused by an error that names the file`, async (_, content) => {
  const dir = mkdtempSync(join(tmpdir(), 'tessera-gguf-mutations-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'model.gguf');
  const whole = ggufBytes(content);
  writeFileSync(path, whole);
  await readAll(path);
  const header = ggufBytes({ ...content, tensors: [] }).length + 60 * content.tensors.length;
  const all = [...mutations, mutateDimension(content.tensors.map(({ name }) => name))];
  const next = seededRandom(2611);
  const random: Random = (below) => Math.floor(next() * below);
  const before = process.memoryUsage();
  let refused = 0;
  for (let mutant = 0; mutant < mutants; mutant++) {
    let bytes: Buffer = Buffer.from(whole);
    for (let count = 1 + random(3); count > 0; count--) {
      const mutate = all[random(all.length)] as (typeof mutations)[number];
      if (bytes.length > 0) bytes = mutate(bytes, place(bytes, header, random), random);
    }
    writeFileSync(path, bytes);
    const error: unknown = await readAll(path).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const { arrayBuffers, heapUsed, rss } = process.memoryUsage();
    if (arrayBuffers > maxBytes) throw new Error(`mutant ${mutant} holds ${arrayBuffers} bytes`);
    if (heapUsed > before.heapUsed + maxHeapBytes) throw new Error(`mutant ${mutant}: objects of ${heapUsed} bytes`);
    if (rss > before.rss + maxGrowthBytes) throw new Error(`mutant ${mutant}: a process of ${rss} bytes`);
    if (error === undefined) continue;
    refused++;
    const isNamed =
      error instanceof TesseraError && error.code === 'CHECKPOINT_INVALID' && error.message.includes(path);
    if (!isNamed) throw new Error(`mutant ${mutant} fails otherwise`, { cause: error });
  }
  expect(refused).toBeGreaterThan(mutants / 2);
  expect(refused).toBeLessThan(mutants);
});
