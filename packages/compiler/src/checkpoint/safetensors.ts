import { type FileHandle, open } from 'node:fs/promises';
import { TesseraError, widenFloat16 } from '@tessera/protocol';
import { z } from 'zod';

/** The format's own limit on its header. */
const maxHeaderBytes = 100_000_000;
/** What is read at once while a tensor is widened to float32. */
const chunkBytes = 16 * 1024 * 1024;

const elementBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

const header = z.record(
  z.string(),
  z.object({
    dtype: z.enum(Object.keys(elementBytes) as [keyof typeof elementBytes]),
    shape: z.array(z.number().int().nonnegative()).max(8),
    data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
  }),
);

export interface TensorInfo {
  readonly name: string;
  readonly dtype: keyof typeof elementBytes;
  readonly shape: readonly number[];
  /** Of the first byte, from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** A chunk begins where memory was allotted, or a whole number of elements behind: it is aligned. */
const asUint16 = ({ buffer, byteOffset, length }: Uint8Array): Uint16Array =>
  new Uint16Array(buffer, byteOffset, length / 2);

/** How the bytes of each type become float32, exactly. */
const widen = {
  F32: (source: Uint8Array, target: Float32Array) => {
    new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(source);
  },
  F16: (source: Uint8Array, target: Float32Array) => {
    widenFloat16(asUint16(source), target);
  },
  BF16: (source: Uint8Array, target: Float32Array) => {
    const from = asUint16(source);
    const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
    for (let i = 0; i < bits.length; i++) bits[i] = (from[i] as number) << 16;
  },
};

/** Checks that tensors fill the data section exactly, one after another, and places them in the file. */
function placeTensors(entries: z.infer<typeof header>, dataStart: number, fileBytes: number): TensorInfo[] {
  const tensors = Object.entries(entries).map(([name, entry]): TensorInfo => {
    const [begin, end] = entry.data_offsets;
    const bytes = entry.shape.reduce((product, size) => product * size, elementBytes[entry.dtype]);
    if (end - begin !== bytes)
      throw new Error(`${name} of shape [${entry.shape}] has ${end - begin} bytes, not ${bytes}`);
    return { name, dtype: entry.dtype, shape: entry.shape, offset: dataStart + begin, bytes };
  });
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let expected = dataStart;
  for (const { name, offset, bytes } of tensors) {
    if (offset !== expected)
      throw new Error(`${name} ${offset < expected ? 'overlaps another tensor' : 'leaves a gap'}`);
    expected += bytes;
  }
  if (expected > fileBytes) throw new Error(`is cut short: ${fileBytes} bytes of ${expected}`);
  if (expected < fileBytes) throw new Error(`has ${fileBytes - expected} bytes that belong to no tensor`);
  return tensors;
}

/** One open .safetensors file: its header is held, its tensors are read when asked for. */
export class SafetensorsFile {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    readonly tensors: ReadonlyMap<string, TensorInfo>,
  ) {}

  /**
   * Reads and checks the header.
   * @throws TesseraError CHECKPOINT_INVALID naming the file and what is wrong with it
   */
  static async open(path: string): Promise<SafetensorsFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      const fileBytes = (await handle.stat()).size;
      const prefix = Buffer.alloc(8);
      if ((await handle.read(prefix, 0, 8, 0)).bytesRead < 8) throw new Error('is too short to have a header');
      const headerBytes = prefix.readBigUInt64LE();
      if (headerBytes > BigInt(Math.min(maxHeaderBytes, fileBytes - 8))) {
        throw new Error(
          `says its header has ${headerBytes} bytes; the file has ${fileBytes}, the limit is ${maxHeaderBytes}`,
        );
      }
      const text = Buffer.alloc(Number(headerBytes));
      await readFully(handle, text, 8);
      const { __metadata__: _, ...entries } = JSON.parse(text.toString('utf8')) as Record<string, unknown>;
      const parsed = header.safeParse(entries);
      if (!parsed.success) throw new Error(`its header is malformed: ${z.prettifyError(parsed.error)}`);
      const tensors = placeTensors(parsed.data, 8 + text.length, fileBytes);
      return new SafetensorsFile(path, handle, new Map(tensors.map((tensor) => [tensor.name, tensor])));
    } catch (cause) {
      await handle?.close();
      throw new TesseraError('CHECKPOINT_INVALID', `${path}: ${(cause as Error).message}`, { cause });
    }
  }

  /**
   * A whole tensor as float32; F16 and BF16 are widened exactly.
   * @throws TesseraError CHECKPOINT_INVALID when the file lacks it, it is of another type, or the file has shrunk
   */
  async read(name: string, signal?: AbortSignal): Promise<Float32Array> {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new TesseraError('CHECKPOINT_INVALID', `${this.path}: has no tensor ${name}`);
    const { dtype, offset, bytes } = tensor;
    if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
      throw new TesseraError('CHECKPOINT_INVALID', `${this.path}: ${name} is ${dtype}; F32, F16 and BF16 are read`);
    }
    const size = elementBytes[dtype];
    const values = new Float32Array(bytes / size);
    const chunk = new Uint8Array(Math.min(chunkBytes, bytes));
    for (let done = 0; done < bytes; done += chunk.length) {
      signal?.throwIfAborted();
      const part = chunk.subarray(0, Math.min(chunk.length, bytes - done));
      await readFully(this.handle, part, offset + done).catch((cause: unknown) => {
        throw new TesseraError('CHECKPOINT_INVALID', `${this.path}: ${(cause as Error).message}`, { cause });
      });
      widen[dtype](part, values.subarray(done / size, (done + part.length) / size));
    }
    return values;
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

async function readFully(handle: FileHandle, target: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) throw new Error('is cut short');
    done += bytesRead;
  }
}
