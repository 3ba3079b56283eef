import { TesseraError } from '@tessera/protocol';

/** How deep a schema may be written. */
const mostDepth = 64;

type SchemaObject = Readonly<Record<string, unknown>>;

/** One schema within a schema: its keywords by their types, and errors that say where it is. */
export class SchemaNode {
  /**
   * @param place a JSON pointer, from # on
   * @param field what errors name
   */
  constructor(
    private readonly schema: unknown,
    readonly place: string,
    readonly field: string,
    private readonly depth = 0,
  ) {
    if (depth > mostDepth) throw this.invalid(`is more than ${mostDepth} schemas deep`);
    const isSchema =
      typeof schema === 'boolean' || (typeof schema === 'object' && schema !== null && !Array.isArray(schema));
    if (!isSchema) throw this.invalid('is no schema: use an object, true or false');
  }

  /** Whether it is the schema `true` or `false`; an empty one is `true`. */
  isAlways(valid: boolean): boolean {
    return this.schema === valid || (valid && this.schema !== false && this.keywords.length === 0);
  }

  get keywords(): string[] {
    return Object.keys(this.object);
  }

  has(keyword: string): boolean {
    return Object.hasOwn(this.object, keyword);
  }

  value(keyword: string): unknown {
    return this.object[keyword];
  }

  values(keyword: string): readonly unknown[] {
    const value = this.value(keyword);
    if (!Array.isArray(value) || value.length === 0) throw this.invalid(`has a ${keyword} that is no list of values`);
    return value;
  }

  string(keyword: string): string {
    const value = this.value(keyword);
    if (typeof value !== 'string') throw this.invalid(`has a ${keyword} that is no text`);
    return value;
  }

  /** A text, or a list of them. */
  strings(keyword: string): readonly string[] {
    const value = this.value(keyword);
    const all: readonly unknown[] = Array.isArray(value) ? value : [value];
    const isRight = all.every((one) => typeof one === 'string') && (keyword !== 'type' || all.length > 0);
    if (!isRight) throw this.invalid(`has a ${keyword} that is not made of texts`);
    return all as readonly string[];
  }

  /** @param absent what it is where the keyword is not there */
  number(keyword: string, absent: number): number {
    if (!this.has(keyword)) return absent;
    const value = this.value(keyword);
    if (typeof value !== 'number' || Number.isNaN(value)) throw this.invalid(`has a ${keyword} that is no number`);
    return value;
  }

  /** How many there are at least and at most; at most undefined: without a bound. */
  bounds(least: string, most: string): readonly [number, number | undefined] {
    const from = this.number(least, 0);
    const to = this.has(most) ? this.number(most, 0) : undefined;
    for (const [keyword, count] of [[least, from] as const, [most, to ?? 0] as const]) {
      if (!Number.isInteger(count) || count < 0) throw this.invalid(`has a ${keyword} that is no count`);
    }
    if (to !== undefined && to < from) throw this.invalid(`has a ${most} below its ${least}`);
    return [from, to];
  }

  child(keyword: string): SchemaNode {
    return new SchemaNode(this.value(keyword), `${this.place}/${keyword}`, this.field, this.depth + 1);
  }

  /** The schema of anything, in place of one that is not said. */
  anything(): SchemaNode {
    return new SchemaNode(true, this.place, this.field, this.depth);
  }

  /** Schemas by name. */
  children(keyword: string): Map<string, SchemaNode> {
    if (!this.has(keyword)) return new Map();
    const value = this.value(keyword);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.invalid(`has ${keyword} that are no object`);
    }
    return new Map(
      Object.entries(value).map(([name, schema]) => {
        const place = `${this.place}/${keyword}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        return [name, new SchemaNode(schema, place, this.field, this.depth + 1)];
      }),
    );
  }

  /** Schemas in order. */
  list(keyword: string): SchemaNode[] {
    return this.values(keyword).map(
      (schema, at) => new SchemaNode(schema, `${this.place}/${keyword}/${at}`, this.field, this.depth + 1),
    );
  }

  /** The schema that a reference within this one, the whole, names. */
  at(reference: string, from: SchemaNode): SchemaNode {
    if (!/^#(\/|$)/.test(reference))
      throw from.unsupported('$ref', 'to anything but a place in the schema itself (#/...)');
    let value: unknown = this.schema;
    for (const segment of reference.split('/').slice(1)) {
      const name = decodeURIComponent(segment).replaceAll('~1', '/').replaceAll('~0', '~');
      const isThere = typeof value === 'object' && value !== null && Object.hasOwn(value, name);
      if (!isThere) throw from.invalid(`has a $ref to ${reference}, which is not there`);
      value = (value as Record<string, unknown>)[name];
    }
    return new SchemaNode(value, reference, this.field);
  }

  /** @throws TesseraError UNSUPPORTED where keywords stand beside others that they are not taken with */
  allowOnly(keywords: readonly string[], annotations: ReadonlySet<string>): void {
    const other = this.keywords.find((keyword) => !keywords.includes(keyword) && !annotations.has(keyword));
    if (other !== undefined) throw this.unsupported(other, `beside ${keywords[0]}`);
  }

  invalid(problem: string): TesseraError {
    return TesseraError.invalidField(this.field, `${this.place} ${problem}`);
  }

  unsupported(keyword: string, what = ''): TesseraError {
    const message = `${this.field}: ${this.place}/${keyword} ${what === '' ? '' : `${what} `}is not supported in schemas that hold a text`;
    return new TesseraError('UNSUPPORTED', message, { field: this.field });
  }

  private get object(): SchemaObject {
    return typeof this.schema === 'object' ? (this.schema as SchemaObject) : {};
  }
}
