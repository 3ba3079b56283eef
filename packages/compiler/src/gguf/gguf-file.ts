import { type FileHandle, open } from 'node:fs/promises';
import { TesseraError } from '@tessera/protocol';
import { clipped } from '../config.js';
import { HeaderReader, type MetadataValue } from './header-reader.js';
import { type StoredType, storedTypes } from './tensor-types.js';

/** More than any model has: layers of experts that are stored one by one have tens of thousands. */
export const maxTensors = 1 << 18;
const maxPairs = 1 << 16;
const maxDimensions = 4;
const defaultAlignment = 32;
const maxAlignment = 1 << 20;
/** Of an error: a tensor's name can be as long as the header. */
const maxMessage = 4000;

/** A tensor as the file stores it: rows of blocks, one after another. */
export interface StoredTensor {
  readonly name: string;
  readonly type: StoredType;
  /** As everywhere here, the last dimension is the one whose values lie beside each other; the file has them the other way. */
  readonly shape: readonly number[];
  /** Of the first byte, from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
  /** How many rows there are, over all dimensions but the last, and what one takes. */
  readonly rows: number;
  readonly rowBytes: number;
}

/** One open .gguf file, of version 2 or 3: its header is held, its tensors are read by rows when asked for. */
export class GgufFile {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    readonly metadata: ReadonlyMap<string, MetadataValue>,
    readonly tensors: ReadonlyMap<string, StoredTensor>,
  ) {}

  /**
   * Reads and checks the header.
   * @throws TesseraError CHECKPOINT_INVALID naming the file, what is wrong with it, and with which value or tensor
   */
  static async open(path: string): Promise<GgufFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      const reader = new HeaderReader(handle, (await handle.stat()).size);
      await checkKind(reader);
      const tensorCount = await reader.u64();
      const pairCount = await reader.u64();
      if (tensorCount > maxTensors)
        throw new Error(`says it has ${tensorCount} tensors; at most ${maxTensors} are read`);
      if (pairCount > maxPairs) throw new Error(`says it has ${pairCount} values; at most ${maxPairs} are read`);
      const metadata = await readMetadata(reader, pairCount);
      const alignment = alignmentOf(metadata);
      const tensors = placeTensors(await readTable(reader, tensorCount), reader, alignment);
      return new GgufFile(path, handle, metadata, tensors);
    } catch (cause) {
      await handle?.close();
      throw new TesseraError('CHECKPOINT_INVALID', `${path}: ${clipped((cause as Error).message, maxMessage)}`);
    }
  }

  /**
   * The bytes of some rows of a tensor, as they are stored.
   * @throws TesseraError CHECKPOINT_INVALID when the file has shrunk
   */
  async readRows({ name, offset, rowBytes }: StoredTensor, first: number, count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count * rowBytes);
    for (let done = 0; done < bytes.length; ) {
      const at = offset + first * rowBytes + done;
      const { bytesRead } = await this.handle.read(bytes, done, bytes.length - done, at);
      if (bytesRead === 0) throw new TesseraError('CHECKPOINT_INVALID', `${this.path}: is cut short within ${name}`);
      done += bytesRead;
    }
    return bytes;
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

async function checkKind(reader: HeaderReader): Promise<void> {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(await reader.u32());
  if (magic.toString('latin1') !== 'GGUF') throw new Error('is no GGUF file: it does not begin with GGUF');
  const version = await reader.u32();
  if (version === 2 || version === 3) return;
  if (version > 0 && version % 0x10000 === 0) {
    throw new Error(
      'is big-endian; only little-endian files are read: convert it, or fetch the file for other machines',
    );
  }
  throw new Error(`is GGUF of version ${version}; versions 2 and 3 are read: fetch or convert the model again`);
}

/** What an error says goes behind what it is about. */
async function named<T>(name: string, read: Promise<T>): Promise<T> {
  try {
    return await read;
  } catch (cause) {
    throw new Error(`${name} ${(cause as Error).message}`, { cause });
  }
}

async function readMetadata(reader: HeaderReader, count: number): Promise<Map<string, MetadataValue>> {
  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < count; i++) {
    const key = await named(`the key of value ${i}`, reader.string());
    if (metadata.has(key)) throw new Error(`has ${key} twice`);
    metadata.set(key, await named(key, readValue(reader)));
  }
  return metadata;
}

const readValue = async (reader: HeaderReader): Promise<MetadataValue> => reader.value(await reader.u32());

function alignmentOf(metadata: ReadonlyMap<string, MetadataValue>): number {
  const alignment = metadata.get('general.alignment') ?? defaultAlignment;
  const known = typeof alignment === 'number' && alignment > 0 && alignment <= maxAlignment;
  if (!known || !Number.isInteger(Math.log2(alignment))) {
    throw new Error(`general.alignment is ${String(alignment)}, no power of two up to ${maxAlignment}`);
  }
  return alignment;
}

type Listed = Omit<StoredTensor, 'offset'> & { readonly begin: number };

async function readTable(reader: HeaderReader, count: number): Promise<Listed[]> {
  const tensors: Listed[] = [];
  for (let i = 0; i < count; i++) {
    const name = await named(`the name of tensor ${i}`, reader.string());
    tensors.push(await named(name, readEntry(reader, name)));
  }
  return tensors;
}

async function readEntry(reader: HeaderReader, name: string): Promise<Listed> {
  const dimensions = await reader.u32();
  if (dimensions < 1 || dimensions > maxDimensions)
    throw new Error(`has ${dimensions} dimensions, not 1 to ${maxDimensions}`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(await reader.u64());
  // No values are no tensor: of such ones a file could name any number without growing.
  if (shape.includes(0)) throw new Error(`is of shape [${shape.join(', ')}]: a dimension of 0 holds nothing`);
  const typeNumber = await reader.u32();
  const type = storedTypes.get(typeNumber);
  if (type === undefined) throw new Error(`is of the unknown type ${typeNumber}`);
  const begin = await reader.u64();
  const columns = shape.at(-1) as number;
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const rowBytes = (columns / type.blockValues) * type.blockBytes;
  if (!Number.isInteger(rowBytes)) {
    throw new Error(`has rows of ${columns} values, which blocks of ${type.blockValues} (${type.name}) do not fill`);
  }
  if (!Number.isSafeInteger(rows * columns) || !Number.isSafeInteger(rows * rowBytes)) {
    throw new Error(`is of shape [${shape.join(', ')}], beyond counting`);
  }
  return { name, type, shape, begin, rows, rowBytes, bytes: rows * rowBytes };
}

/** Checks that tensors follow each other in the table's order, each at the next aligned place, as ggml does. */
function placeTensors(
  listed: readonly Listed[],
  reader: HeaderReader,
  alignment: number,
): ReadonlyMap<string, StoredTensor> {
  const align = (position: number): number => Math.ceil(position / alignment) * alignment;
  const dataStart = align(reader.position);
  const tensors = new Map<string, StoredTensor>();
  let next = 0;
  for (const { begin, ...tensor } of listed) {
    const { name, bytes } = tensor;
    if (tensors.has(name)) throw new Error(`has ${name} twice`);
    if (begin !== next) {
      const how =
        begin % alignment !== 0 ? `no multiple of ${alignment}` : begin < next ? 'within another' : 'behind a gap';
      throw new Error(`${name} begins at ${begin} of the data, ${how}; ${next} is where it must`);
    }
    if (dataStart + begin + bytes > reader.fileBytes) {
      throw new Error(`is cut short: ${name} ends at byte ${dataStart + begin + bytes} of ${reader.fileBytes}`);
    }
    tensors.set(name, { ...tensor, offset: dataStart + begin });
    next = align(begin + bytes);
  }
  return tensors;
}
