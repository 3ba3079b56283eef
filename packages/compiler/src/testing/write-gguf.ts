import { writeFile } from 'node:fs/promises';

/** A value of metadata: whole numbers become uint32, those in `f32` and `f32s` float32, lists of numbers int32. */
export type GgufValue =
  | string
  | number
  | boolean
  | { readonly f32: number }
  | { readonly f32s: readonly number[] }
  | readonly string[]
  | readonly number[];

export interface GgufTensor {
  readonly name: string;
  /** As ggml numbers types: 0 is F32, 1 F16, 2 Q4_0, 8 Q8_0. */
  readonly type: number;
  /** The last dimension is the one whose values lie beside each other. */
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  /** Where the table says it begins; by default where it does. */
  readonly begin?: bigint;
}

export interface GgufContent {
  readonly metadata: Readonly<Record<string, GgufValue>>;
  readonly tensors: readonly GgufTensor[];
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
};

function value(from: GgufValue): Buffer {
  if (typeof from === 'string') return Buffer.concat([u32(8), text(from)]);
  if (typeof from === 'boolean') return Buffer.concat([u32(7), Buffer.of(from ? 1 : 0)]);
  if (typeof from === 'number') return Buffer.concat([u32(4), u32(from)]);
  if ('f32' in from) return Buffer.concat([u32(6), Buffer.from(Float32Array.of(from.f32).buffer)]);
  if ('f32s' in from) {
    return Buffer.concat([u32(9), u32(6), u64(from.f32s.length), Buffer.from(Float32Array.from(from.f32s).buffer)]);
  }
  if (from.every((one) => typeof one === 'string')) {
    return Buffer.concat([u32(9), u32(8), u64(from.length), ...from.map(text)]);
  }
  return Buffer.concat([u32(9), u32(5), u64(from.length), Buffer.from(Int32Array.from(from as number[]).buffer)]);
}

const padded = (bytes: number): number => Math.ceil(bytes / 32) * 32;

/** The bytes of a GGUF file of version 3. */
export function ggufBytes({ metadata, tensors }: GgufContent): Buffer {
  const pairs = Object.entries(metadata).map(([key, from]) => Buffer.concat([text(key), value(from)]));
  let begin = 0;
  const table = tensors.map((tensor) => {
    const { name, shape, type, data } = tensor;
    const sizes = [...shape].reverse().map(u64);
    const entry = [text(name), u32(shape.length), ...sizes, u32(type), u64(tensor.begin ?? begin)];
    begin += padded(data.length);
    return Buffer.concat(entry);
  });
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(pairs.length),
    ...pairs,
    ...table,
  ]);
  const data = tensors.map((tensor) => Buffer.concat([tensor.data], padded(tensor.data.length)));
  return Buffer.concat([Buffer.concat([header], padded(header.length)), ...data]);
}

export async function writeGguf(path: string, content: GgufContent): Promise<void> {
  await writeFile(path, ggufBytes(content));
}
