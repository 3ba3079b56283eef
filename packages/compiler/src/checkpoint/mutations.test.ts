import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, test } from 'vitest';
import { withHeader } from '../testing/write-safetensors.js';
import { Checkpoint } from './checkpoint.js';

const rounds = 10_000;
/** Files that are read side by side: most of the time goes to the file system. */
const atOnce = 16;
const fileName = 'model.safetensors';
/** Of memory that a file of some hundred bytes may make this process take, over all rounds, garbage included. */
const mostBytes = 256 * 1024 * 1024;

const random = seededRandom(2026);
const below = (limit: number): number => Math.floor(random() * limit);
const oneOf = <T>(values: readonly T[]): T => values[below(values.length)] as T;

const shapes = { a: [3, 2], b: [4], w: [2, 4], w_scale: [2, 1], none: [0, 7] } as const;

const sound = {
  __metadata__: { format: 'pt' },
  a: { dtype: 'F32', shape: shapes.a, data_offsets: [0, 24] },
  b: { dtype: 'BF16', shape: shapes.b, data_offsets: [24, 32] },
  w: { dtype: 'F8_E4M3', shape: shapes.w, data_offsets: [32, 40] },
  w_scale: { dtype: 'F16', shape: shapes.w_scale, data_offsets: [40, 44] },
  none: { dtype: 'F32', shape: shapes.none, data_offsets: [44, 44] },
};

const soundBytes = (): Buffer => withHeader(JSON.stringify(sound), new Uint8Array(44).fill(0x38));

/** What a number in a header may be that lies. */
const lies: readonly unknown[] = [
  -1,
  0.5,
  1e308,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 40,
  -0,
  44,
  45,
  '4',
  null,
  true,
  [],
  {},
  'F64',
  'F8_E4M3',
  'I64',
  'BOOL',
  '__proto__',
];

/** A header of which one place says something else. */
function withLie(): Buffer {
  const header = structuredClone(sound) as Record<string, Record<string, unknown> | unknown>;
  const name = oneOf(Object.keys(shapes));
  const entry = header[name] as { shape: unknown[]; data_offsets: unknown[]; dtype: unknown };
  switch (below(8)) {
    case 0:
      entry.shape[below(3)] = oneOf(lies);
      break;
    case 1:
      entry.data_offsets[below(3)] = oneOf(lies);
      break;
    case 2:
      entry.dtype = oneOf(lies);
      break;
    case 3:
      entry.shape = Array.from({ length: below(12) }, () => oneOf(lies)) as unknown[];
      break;
    case 4:
      header[name] = oneOf(lies);
      break;
    case 5:
      header[oneOf(['', '__proto__', '../a', 'a'.repeat(below(4000)), 'b_scale'])] = entry;
      break;
    case 6:
      header[`more.${below(9)}`] = { dtype: 'F32', shape: [0], data_offsets: [44, 44] };
      break;
    default:
      delete header[name];
  }
  return withHeader(JSON.stringify(header), new Uint8Array(below(4) === 0 ? below(80) : 44).fill(0x38));
}

/** A file of which a few bytes are others, most of them of the header, where they can do harm. */
function withDamage(): Buffer {
  const bytes = soundBytes();
  for (let n = 1 + below(4); n > 0; n--) bytes[below(bytes.length - (below(3) === 0 ? 0 : 44))] = below(256);
  return bytes;
}

/** A file that ends too early, or of which a part is missing, there twice, or at another place. */
function withCut(): Buffer {
  const bytes = soundBytes();
  const [from, to] = [below(bytes.length), below(bytes.length)].sort((x, y) => x - y) as [number, number];
  switch (below(4)) {
    case 0:
      return bytes.subarray(0, from);
    case 1:
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
    default:
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to), bytes.subarray(from, to)]);
  }
}

/** A file whose first eight bytes, the length of the header, are others. */
function withLength(): Buffer {
  const bytes = soundBytes();
  bytes.writeBigUInt64LE(
    oneOf([0n, 1n, 2n, 8n, 100_000_001n, 2n ** 63n, 2n ** 64n - 1n, BigInt(below(bytes.length + 9))]),
  );
  return bytes;
}

/** Reads every parameter of a checkpoint by rows, as the compiler does. */
async function readAll(dir: string): Promise<void> {
  const checkpoint = await Checkpoint.open(dir);
  try {
    for (const [name, shape] of Object.entries(shapes)) await checkpoint.parameter(name, shape).read();
  } finally {
    await checkpoint.close();
  }
}

/** What is wrong with how a file was refused, if anything. */
function complaint(failure: unknown, path: string): string | undefined {
  if (!(failure instanceof TesseraError)) return (failure as Error).stack;
  if (failure.code === 'CHECKPOINT_INVALID' && failure.message.includes(path)) return undefined;
  return `${failure.code}: ${failure.message}`;
}

test(`${rounds} mutated files: each is refused by its name, or read`, async () => {
  const root = await mkdtemp(join(tmpdir(), 'tessera-mutations-'));
  const counts = { refused: 0, read: 0 };
  const complaints: string[] = [];
  try {
    const dirs = Array.from({ length: atOnce }, (_, n) => join(root, String(n)));
    for (const dir of dirs) {
      mkdirSync(dir);
      writeFileSync(join(dir, fileName), soundBytes());
      await readAll(dir);
    }
    const before = process.memoryUsage.rss();
    let most = 0;
    for (let round = 0; round < rounds; round += atOnce) {
      for (const dir of dirs)
        writeFileSync(join(dir, fileName), oneOf([withLie, withLie, withDamage, withCut, withLength])());
      const ends = await Promise.allSettled(dirs.map((dir) => readAll(dir)));
      for (const [n, end] of ends.entries()) {
        if (end.status === 'fulfilled') {
          counts.read++;
          continue;
        }
        counts.refused++;
        const wrong = complaint(end.reason, dirs[n] as string);
        // To be found again: the seed and the number of the round make the file.
        if (wrong !== undefined) complaints.push(`file ${round + n}: ${wrong}`);
      }
      most = Math.max(most, process.memoryUsage.rss() - before);
    }
    expect(complaints).toEqual([]);
    expect(most).toBeLessThan(mostBytes);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
  // Else the mutations are too tame, or everything is refused.
  expect(counts.refused).toBeGreaterThan(rounds / 2);
  expect(counts.read).toBeGreaterThan(rounds / 50);
}, 300_000);
