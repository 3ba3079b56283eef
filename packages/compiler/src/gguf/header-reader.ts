import { isUtf8 } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';

/** Of a header in all: a vocabulary of 250 000 words with its merges has less than 20 MB. */
const maxHeaderBytes = 256 * 1024 * 1024;
/** Of all arrays together: that vocabulary has a million, counting merges, scores and types. */
const maxElements = 4 * 1024 * 1024;
/** What is read at once. */
const windowBytes = 1024 * 1024;
/** Arrays in arrays. */
const maxDepth = 4;

type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** A value of a file's metadata. Whole numbers of 64 bits are numbers where a number holds them. */
export type MetadataValue = string | number | bigint | boolean | MetadataArray;
export type MetadataArray = readonly string[] | readonly MetadataArray[] | NumberArray;

const arrayOf = {
  0: Uint8Array,
  1: Int8Array,
  2: Uint16Array,
  3: Int16Array,
  4: Uint32Array,
  5: Int32Array,
  6: Float32Array,
  /** Booleans. */
  7: Uint8Array,
  10: BigUint64Array,
  11: BigInt64Array,
  12: Float64Array,
} as const;
const booleanType = 7;
const stringType = 8;
const arrayType = 9;

const isNumeric = (type: number): type is keyof typeof arrayOf => Object.hasOwn(arrayOf, type);

/**
 * Reads a GGUF header from its beginning, piece by piece. What a length says is believed only as far as the file and the limits
 * reach: nothing is allotted for what is not there.
 */
export class HeaderReader {
  private window: Buffer = Buffer.alloc(0);
  /** Of the window, in the file. */
  private start = 0;
  /** Of what comes next, in the window. */
  private at = 0;
  private elements = 0;

  constructor(
    private readonly handle: FileHandle,
    readonly fileBytes: number,
  ) {}

  /** From the file's beginning. */
  get position(): number {
    return this.start + this.at;
  }

  /** Bytes that the header can still have. */
  get left(): number {
    return Math.min(this.fileBytes, maxHeaderBytes) - this.position;
  }

  async u32(): Promise<number> {
    return (await this.take(4)).readUInt32LE();
  }

  /** A count or a length; as a number, since what no number holds is more than any limit. */
  async u64(): Promise<number> {
    return Number((await this.take(8)).readBigUInt64LE());
  }

  async string(): Promise<string> {
    const bytes = await this.take(await this.u64());
    if (!isUtf8(bytes)) throw new Error(`has a text that is not UTF-8 before byte ${this.position}`);
    return bytes.toString('utf8');
  }

  /** The same, where it is read already: a vocabulary is hundreds of thousands of them, and to wait for each takes long. */
  private stringAtHand(): string | undefined {
    const rest = this.window.length - this.at - 8;
    if (rest < 0) return undefined;
    const length = Number(this.window.readBigUInt64LE(this.at));
    if (length > rest) return undefined;
    const bytes = this.window.subarray(this.at + 8, this.at + 8 + length);
    if (!isUtf8(bytes)) return undefined;
    this.at += 8 + length;
    return bytes.toString('utf8');
  }

  /** @param type as the file numbers types of values */
  async value(type: number): Promise<MetadataValue> {
    if (type === stringType) return this.string();
    if (type === arrayType) return this.array(1);
    if (!isNumeric(type)) throw new Error(`is of the unknown type ${type}`);
    const [value] = await this.numbers(type, 1);
    if (type === booleanType) return value === 1;
    return typeof value === 'bigint' && Number.isSafeInteger(Number(value))
      ? Number(value)
      : (value as number | bigint);
  }

  private async array(depth: number): Promise<MetadataArray> {
    const type = await this.u32();
    const count = await this.u64();
    this.elements += count;
    if (this.elements > maxElements) throw new Error(`has arrays of more than ${maxElements} elements`);
    if (isNumeric(type)) return this.numbers(type, count);
    if (type === stringType) {
      const strings: string[] = [];
      for (let i = 0; i < count; i++) strings.push(this.stringAtHand() ?? (await this.string()));
      return strings;
    }
    if (type !== arrayType) throw new Error(`is an array of the unknown type ${type}`);
    if (depth === maxDepth) throw new Error(`has arrays within arrays, ${maxDepth} deep`);
    const arrays: MetadataArray[] = [];
    for (let i = 0; i < count; i++) arrays.push(await this.array(depth + 1));
    return arrays;
  }

  private async numbers(type: keyof typeof arrayOf, count: number): Promise<NumberArray> {
    const { BYTES_PER_ELEMENT } = arrayOf[type];
    const bytes = await this.take(count * BYTES_PER_ELEMENT);
    // A copy, since the window moves on, and a typed array must begin where its elements are aligned.
    const values = new arrayOf[type](new Uint8Array(bytes).buffer);
    if (type === booleanType && values.some((value) => Number(value) > 1)) throw new Error('has a boolean beyond 1');
    return values;
  }

  /** The next so many bytes, until more are asked for. */
  private async take(bytes: number): Promise<Buffer> {
    if (bytes > this.left) {
      const limit = this.fileBytes > maxHeaderBytes ? `a header has at most ${maxHeaderBytes}` : 'the file ends before';
      throw new Error(`needs ${bytes} more bytes at byte ${this.position}: ${limit}`);
    }
    if (this.window.length - this.at < bytes) await this.refill(bytes);
    const taken = this.window.subarray(this.at, this.at + bytes);
    this.at += bytes;
    return taken;
  }

  private async refill(bytes: number): Promise<void> {
    const next = Buffer.allocUnsafe(Math.min(Math.max(bytes, windowBytes), this.left));
    this.start += this.at;
    this.at = 0;
    for (let done = 0; done < next.length; ) {
      const { bytesRead } = await this.handle.read(next, done, next.length - done, this.start + done);
      if (bytesRead === 0) throw new Error('is cut short');
      done += bytesRead;
    }
    this.window = next;
  }
}
