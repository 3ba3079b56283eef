import { copyFile, mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { elementCount } from '@tessera/protocol';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { smolLm2, tensorsOf } from './shape.js';

/** Of weights, so that hidden states neither die nor grow. */
const deviation = 0.04;

/** bfloat16 values: norms of one, weights of a bell curve (a sum of uniform numbers is near enough to one). */
function values(shape: readonly number[], random: () => number): Uint16Array {
  const one = 0x3f80;
  const bits = new Uint16Array(elementCount(shape));
  if (shape.length === 1) return bits.fill(one);
  const float = new Float32Array(1);
  const asBits = new Uint32Array(float.buffer);
  for (let i = 0; i < bits.length; i++) {
    // Three uniform numbers have a deviation of a half.
    float[0] = (random() + random() + random() - 1.5) * 2 * deviation;
    bits[i] = (asBits[0] as number) >>> 16;
  }
  return bits;
}

/**
 * Writes a checkpoint of SmolLM2's shape with random weights, the same each time, in bfloat16 and tensor by tensor. Its tokenizer
 * and chat template are the demo model's, whose few words are enough to ask with.
 * @param dir made where it is not there
 */
export async function writeCheckpoint(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'config.json'), `${JSON.stringify(smolLm2, undefined, 2)}\n`);
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(demoModelDir, name), join(dir, name));
  const tensors = tensorsOf(smolLm2);
  let position = 0;
  const entries = tensors.map(({ name, shape }) => {
    const begin = position;
    position += 2 * elementCount(shape);
    return [name, { dtype: 'BF16', shape, data_offsets: [begin, position] }];
  });
  const header = Buffer.from(JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const random = seededRandom(135);
  const file = await open(join(dir, 'model.safetensors'), 'w');
  try {
    await file.writeFile(length);
    await file.writeFile(header);
    for (const { shape } of tensors) await file.writeFile(Buffer.from(values(shape, random).buffer));
  } finally {
    await file.close();
  }
}
