import { TesseraError } from '@tessera/protocol';
import type { Blocks, StoredBlocks } from '../checkpoint/parameters.js';
import { firstNotFinite } from '../checkpoint/widen.js';
import { dequantizers } from './dequantize.js';
import type { GgufFile } from './gguf-file.js';
import { packed, symmetricTypes } from './symmetric-blocks.js';
import type { PublishedTensor } from './tensor-names.js';

const readTypes = Object.keys(dequantizers).join(', ');

/** A tensor as a checkpoint has it, in the file that stores it. */
export interface PlacedTensor extends PublishedTensor {
  readonly file: GgufFile;
}

/** @throws TesseraError CHECKPOINT_INVALID for a type that is not read, naming those that are */
export function requireReadType({ file, stored }: PlacedTensor): void {
  const { name } = stored.type;
  if (!Object.hasOwn(dequantizers, name)) throw problem(file, `${stored.name} is ${name}; ${readTypes} are read`);
}

/**
 * Rows from `first` on, as many as fill `target`, in float32. A row is what one index of the first dimension holds.
 * @throws TesseraError CHECKPOINT_INVALID naming file and tensor where a value is no number or infinite, or the file is cut short
 */
export async function readRows(tensor: PlacedTensor, first: number, target: Float32Array): Promise<void> {
  const { file, stored, shape } = tensor;
  // A vector is one stored row, and its values are rows each.
  const isVector = shape.length === 1;
  const values = isVector ? new Float32Array(shape[0] as number) : target;
  const columns = isVector ? values.length : (stored.shape.at(-1) as number);
  const rows = isVector ? 1 : target.length / columns;
  const source = isVector ? await file.readRows(stored, 0, 1) : await readStored(tensor, first, rows);
  (dequantizers[stored.type.name] as (typeof dequantizers)[string])(source, values);
  if (isVector) target.set(turnedBack(values, 1, tensor.turnedHead).subarray(first, first + target.length));
  requireFinite(tensor, target);
}

/**
 * A weight's blocks as they are stored, where MatMulNBits can hold them: value for value.
 * @throws TesseraError as readRows
 */
export function storedBlocks(tensor: PlacedTensor): StoredBlocks | undefined {
  const type = symmetricTypes[tensor.stored.type.name];
  if (type === undefined || tensor.shape.length !== 2) return undefined;
  const { bits, blockSize, unpack } = type;
  const read = async (first: number, count: number): Promise<Blocks> => {
    const { values, scales } = unpack(await readStored(tensor, first, count));
    requireFinite(tensor, scales);
    return { values: packed(values, bits), scales };
  };
  return { bits, blockSize, zeroPoints: 'none', readRows: read };
}

/** Stored rows in the order of a checkpoint, which is the file's but for heads that were turned. */
async function readStored(tensor: PlacedTensor, first: number, count: number): Promise<Uint8Array> {
  const { file, stored, firstRow, turnedHead } = tensor;
  if (turnedHead === undefined) return file.readRows(stored, firstRow + first, count);
  // Whole heads: where a row comes from lies within its head.
  const begin = Math.floor(first / turnedHead) * turnedHead;
  const end = Math.min(tensor.rows, Math.ceil((first + count) / turnedHead) * turnedHead);
  const { rowBytes } = stored;
  const heads = turnedBack(await file.readRows(stored, firstRow + begin, end - begin), rowBytes, turnedHead);
  return heads.slice((first - begin) * rowBytes, (first + count - begin) * rowBytes);
}

/** Rows of `width` elements, a head's pairs of neighbours put half a head apart. */
function turnedBack<T extends Uint8Array | Float32Array>(source: T, width: number, head: number | undefined): T {
  if (head === undefined) return source;
  const target = source.slice() as T;
  const half = head / 2;
  for (let row = 0; row < source.length / width; row++) {
    const inHead = row % head;
    const from = row - inHead + (inHead % half) * 2 + Math.floor(inHead / half);
    target.set(source.subarray(from * width, (from + 1) * width), row * width);
  }
  return target;
}

function requireFinite({ file, stored }: PlacedTensor, values: Float32Array): void {
  const wrong = firstNotFinite(values);
  if (wrong >= 0) throw problem(file, `${stored.name} has a value or a scale of ${values[wrong]}`);
}

function problem({ path }: GgufFile, what: string): TesseraError {
  return new TesseraError('CHECKPOINT_INVALID', `${path}: ${what}`);
}
