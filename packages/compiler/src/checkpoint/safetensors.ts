import { type FileHandle, open, stat } from 'node:fs/promises';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import { clipped, fewProblems } from '../config.js';
import { doubledKey } from './doubled-key.js';
import { firstNotFinite, isReadType, rawPart, readBytes, widen } from './widen.js';

/** The format's own limit on its header. */
const maxHeaderBytes = 100_000_000;
/** Of float32, what is made at once where a tensor is read whole: a reading that is cancelled ends this soon. */
const chunkValues = 4 * 1024 * 1024;

/** Of an error: a tensor's name can be as long as the header. */
const maxMessage = 4000;

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

const tensorEntry = z.object({
  dtype: z.enum(Object.keys(elementBytes) as [keyof typeof elementBytes]),
  shape: z.array(z.number().int().nonnegative()).max(8),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
});

type Entries = Map<string, z.infer<typeof tensorEntry>>;

/** Tensor by tensor: of a header of none but faults, only those that are told are kept. */
function checkEntries(header: object): Entries {
  const entries: Entries = new Map();
  function* problems(): Generator<string> {
    for (const [name, value] of Object.entries(header)) {
      const parsed = tensorEntry.safeParse(value);
      if (parsed.success) entries.set(name, parsed.data);
      else yield `${name}: ${parsed.error.issues.map(({ path, message }) => [...path, message].join(' ')).join(', ')}`;
    }
  }
  const told = fewProblems(problems());
  if (told !== '') throw new Error(`its header is malformed: ${told}`);
  return entries;
}

export interface TensorInfo {
  readonly name: string;
  readonly dtype: keyof typeof elementBytes;
  readonly shape: readonly number[];
  /** Of the first byte, from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** Checks that tensors fill the data section exactly, one after another, and places them in the file. */
function placeTensors(entries: Entries, dataStart: number, fileBytes: number): TensorInfo[] {
  const tensors = [...entries].map(([name, entry]): TensorInfo => {
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
      // A pipe would keep whoever opens it waiting for a writer.
      if (!(await stat(path)).isFile()) throw new Error('is not a file');
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
      const json = text.toString('utf8');
      const { __metadata__: _, ...entries } = JSON.parse(json) as Record<string, unknown>;
      const doubled = doubledKey(json);
      if (doubled !== undefined) throw new Error(`its header has ${JSON.stringify(doubled)} twice`);
      const tensors = placeTensors(checkEntries(entries), 8 + text.length, fileBytes);
      return new SafetensorsFile(path, handle, new Map(tensors.map((tensor) => [tensor.name, tensor])));
    } catch (cause) {
      await handle?.close();
      throw new TesseraError('CHECKPOINT_INVALID', `${path}: ${clipped((cause as Error).message, maxMessage)}`);
    }
  }

  /**
   * A whole tensor as float32.
   * @throws TesseraError as readInto
   */
  async read(name: string, signal?: AbortSignal): Promise<Float32Array> {
    const { bytes, dtype } = this.tensor(name);
    const values = new Float32Array(bytes / elementBytes[dtype]);
    for (let first = 0; first < values.length || first === 0; first += chunkValues) {
      await this.readInto(name, first, values.subarray(first, first + chunkValues), signal);
    }
    return values;
  }

  /**
   * Fills `target` with a tensor's elements from `first` on, as float32; F16, BF16 and F8_E4M3 are widened exactly.
   * @throws TesseraError CHECKPOINT_INVALID when the file lacks the tensor, it is of another type, one of its values is infinite
   *   or no number, or the file has shrunk
   */
  async readInto(name: string, first: number, target: Float32Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { dtype, offset } = this.tensor(name);
    if (!isReadType(dtype)) throw this.invalid(`${name} is ${dtype}; ${Object.keys(readBytes).join(', ')} are read`);
    await readFully(this.handle, rawPart(dtype, target), offset + first * readBytes[dtype]).catch((cause: unknown) => {
      throw this.invalid((cause as Error).message, cause);
    });
    widen(dtype, target);
    const wrong = firstNotFinite(target);
    if (wrong >= 0) throw this.invalid(`element ${first + wrong} of ${name} is ${target[wrong]}`);
  }

  private tensor(name: string): TensorInfo {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw this.invalid(`has no tensor ${name}`);
    return tensor;
  }

  private invalid(what: string, cause?: unknown): TesseraError {
    return new TesseraError('CHECKPOINT_INVALID', `${this.path}: ${what}`, { cause });
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
