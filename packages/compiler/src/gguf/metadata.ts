import { TesseraError } from '@tessera/protocol';
import type { MetadataValue } from './header-reader.js';

/** What a GGUF file says of its model, value by value, each of the type it must have. */
export class Metadata {
  constructor(
    readonly path: string,
    private readonly values: ReadonlyMap<string, MetadataValue>,
  ) {}

  keys(): Iterable<string> {
    return this.values.keys();
  }

  get(key: string): MetadataValue | undefined {
    return this.values.get(key);
  }

  text(key: string): string | undefined {
    return this.typed(key, 'a text', (value) => typeof value === 'string');
  }

  number(key: string): number | undefined {
    return this.typed(key, 'a number', (value) => typeof value === 'number');
  }

  flag(key: string): boolean | undefined {
    return this.typed(key, 'true or false', (value) => typeof value === 'boolean');
  }

  texts(key: string): readonly string[] | undefined {
    const isTexts = (value: MetadataValue): value is readonly string[] =>
      Array.isArray(value) && value.every((one) => typeof one === 'string');
    return this.typed(key, 'a list of texts', isTexts);
  }

  /** A list of whole numbers or floats, of no more than 32 bits each. */
  numbers(key: string): ArrayLike<number> | undefined {
    const isNumbers = (value: MetadataValue): value is Int32Array =>
      ArrayBuffer.isView(value) && !(value instanceof BigInt64Array || value instanceof BigUint64Array);
    return this.typed(key, 'a list of numbers', isNumbers);
  }

  required<T>(key: string, value: T | undefined): T {
    if (value === undefined) throw this.problem(key, 'is missing');
    return value;
  }

  problem(key: string, what: string): TesseraError {
    return new TesseraError('CHECKPOINT_INVALID', `${this.path}: ${key} ${what}`);
  }

  private typed<T extends MetadataValue>(
    key: string,
    what: string,
    fits: (value: MetadataValue) => value is T,
  ): T | undefined {
    const value = this.values.get(key);
    if (value === undefined || fits(value)) return value;
    throw this.problem(key, `is not ${what}`);
  }
}
