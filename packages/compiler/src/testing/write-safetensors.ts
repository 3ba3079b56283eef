import { writeFile } from 'node:fs/promises';

export interface TensorContent {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A safetensors file's bytes with the given header text. */
export function withHeader(header: string, data: Uint8Array): Buffer {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

/** A well-formed safetensors file. */
export async function writeSafetensors(path: string, tensors: Readonly<Record<string, TensorContent>>): Promise<void> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let position = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [position, position + data.length] };
    position += data.length;
  }
  const data = Buffer.concat(Object.values(tensors).map((tensor) => tensor.data));
  await writeFile(path, withHeader(JSON.stringify(header), data));
}

/** A float32 tensor of ones. */
export function ones(...shape: number[]): TensorContent {
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(1);
  return { dtype: 'F32', shape, data: new Uint8Array(data.buffer) };
}
