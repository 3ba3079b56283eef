import { choice, type Grammar, list, type Rule, repeat, ruleOf, sequence, shared, text } from './grammar.js';
import { anyInteger, anyNumber, anyStringCharacter, inString, keyOtherThan, quoted, whitespace } from './json-text.js';
import { integersBetween, largest, numbersBetween } from './number-range.js';
import { regexGrammar } from './regex-grammar.js';
import { SchemaNode } from './schema-node.js';
import { stringFormat, stringFormats } from './string-formats.js';

const separator = sequence(text(','), whitespace);
const anyString = shared(quoted(repeat(anyStringCharacter, 0)));
const anyKeyValue = (key: Grammar, value: Grammar): Grammar => sequence(key, text(':'), whitespace, value);

/** Any object, and any value at all. */
const anyObjectRule: Rule = {
  nests: true,
  body: () => braced('{', list([], separator, anyKeyValue(anyString, anyValue)), '}'),
};
const anyArrayRule: Rule = { nests: true, body: () => braced('[', list([], separator, anyValue), ']') };
const anyValue: Grammar = shared(
  choice(anyString, anyNumber, text('true'), text('false'), text('null'), ruleOf(anyObjectRule), ruleOf(anyArrayRule)),
);
export const anyObject: Grammar = ruleOf(anyObjectRule);

const types = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
type JsonType = (typeof types)[number];

/** Keywords that say something about values of one type. */
const keywordsOf: Readonly<Record<JsonType, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: [],
  null: [],
};
/** Keywords that say nothing about what is valid. */
const annotations = new Set(
  '$schema $id $comment $defs definitions title description default examples deprecated readOnly writeOnly'.split(' '),
);
const others = ['type', 'enum', 'const', 'anyOf', 'allOf', '$ref'];

/**
 * JSON that keeps a schema, as a form. It may be narrower than the schema: what it has is valid, and not everything that is
 * valid may be written.
 * @param schema the parsed schema
 * @throws TesseraError UNSUPPORTED naming the keyword and its place, REQUEST_INVALID where a keyword is wrong or nothing is valid
 */
export function schemaGrammar(schema: unknown, field: string): Grammar {
  const root = new SchemaNode(schema, '#', field);
  return new SchemaReader(root).read(root);
}

class SchemaReader {
  /** By place, so that schemas may refer to each other in circles. */
  readonly #referred = new Map<string, Grammar>();

  constructor(private readonly root: SchemaNode) {}

  read(node: SchemaNode): Grammar {
    if (node.isAlways(true)) return anyValue;
    if (node.isAlways(false)) throw node.invalid('allows nothing');
    for (const keyword of node.keywords) {
      if (annotations.has(keyword) || others.includes(keyword)) continue;
      if (!Object.values(keywordsOf).some((known) => known.includes(keyword))) throw node.unsupported(keyword);
    }
    if (node.has('$ref')) return this.#reference(node);
    if (node.has('const') || node.has('enum')) return this.#values(node);
    if (node.has('anyOf')) {
      node.allowOnly(['anyOf'], annotations);
      return choice(...node.list('anyOf').map((option) => this.read(option)));
    }
    if (node.has('allOf')) {
      node.allowOnly(['allOf'], annotations);
      const all = node.list('allOf');
      if (all.length !== 1) throw node.unsupported('allOf', 'of more than one schema');
      return this.read(all[0] as SchemaNode);
    }
    return choice(...this.#typesOf(node).map((type) => this.#typed(node, type)));
  }

  #reference(node: SchemaNode): Grammar {
    node.allowOnly(['$ref'], annotations);
    const target = this.root.at(node.string('$ref'), node);
    const known = this.#referred.get(target.place);
    if (known !== undefined) return known;
    let body: Grammar | undefined;
    const grammar = ruleOf({ nests: false, body: () => body as Grammar });
    // Before it is read: it may refer to itself.
    this.#referred.set(target.place, grammar);
    body = this.read(target);
    return grammar;
  }

  #values(node: SchemaNode): Grammar {
    node.allowOnly(['const', 'enum', 'type'], annotations);
    const values = node.has('const') ? [node.value('const')] : node.values('enum');
    const allowed = node.has('type') ? this.#typesOf(node) : types;
    const fitting = values.filter((value) => allowed.some((type) => isOfType(value, type)));
    if (fitting.length === 0) throw node.invalid('allows no value');
    return shared(choice(...fitting.map((value) => text(JSON.stringify(value)))));
  }

  #typesOf(node: SchemaNode): readonly JsonType[] {
    const said = node.has('type') ? node.strings('type') : this.#typesMeant(node);
    for (const type of said) {
      if (!types.includes(type as JsonType)) throw node.invalid(`has the type ${JSON.stringify(type)}`);
    }
    const known = said as readonly JsonType[];
    return known.includes('number') ? known.filter((type) => type !== 'integer') : known;
  }

  /** A schema without a type that says something about one is meant for it; one that says nothing, for all. */
  #typesMeant(node: SchemaNode): readonly JsonType[] {
    const meant = types.filter((type) => type !== 'integer' && keywordsOf[type].some((keyword) => node.has(keyword)));
    return meant.length > 0 ? meant : types;
  }

  #typed(node: SchemaNode, type: JsonType): Grammar {
    switch (type) {
      case 'object':
        return this.#object(node);
      case 'array':
        return this.#array(node);
      case 'string':
        return stringGrammar(node);
      case 'number':
      case 'integer':
        return numberGrammar(node, type);
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'null':
        return text('null');
    }
  }

  #object(node: SchemaNode): Grammar {
    const properties = node.children('properties');
    const required = node.has('required') ? node.strings('required') : [];
    if (properties.size === 0 && required.length === 0 && !node.has('additionalProperties')) return anyObject;
    const additional = node.has('additionalProperties') ? node.child('additionalProperties') : undefined;
    // What is required without being described is like any other property that is not.
    for (const name of required) {
      if (properties.has(name)) continue;
      if (additional?.isAlways(false)) throw node.invalid(`requires ${JSON.stringify(name)} and does not allow it`);
      properties.set(name, additional ?? node.anything());
    }
    const items = [...properties].map(([name, schema]) => ({
      item: anyKeyValue(text(JSON.stringify(name)), this.read(schema)),
      isRequired: required.includes(name),
    }));
    const wantsMore = additional !== undefined && !additional.isAlways(false);
    const more = wantsMore
      ? anyKeyValue(quoted(keyOtherThan([...properties.keys()])), this.read(additional))
      : undefined;
    const body = braced('{', list(items, separator, more), '}');
    return ruleOf({ nests: true, body: () => body });
  }

  #array(node: SchemaNode): Grammar {
    if (node.has('uniqueItems') && node.value('uniqueItems') !== false) throw node.unsupported('uniqueItems');
    const [least, most] = node.bounds('minItems', 'maxItems');
    const item = node.has('items') ? this.read(node.child('items')) : anyValue;
    const empty = sequence(text('['), whitespace, text(']'));
    if (most === 0) return empty;
    const later = repeat(sequence(separator, item), Math.max(0, least - 1), most === undefined ? undefined : most - 1);
    const body = choice(...(least === 0 ? [empty] : []), braced('[', sequence(item, later), ']'));
    return ruleOf({ nests: true, body: () => body });
  }
}

function stringGrammar(node: SchemaNode): Grammar {
  const [least, most] = node.bounds('minLength', 'maxLength');
  const hasLength = node.has('minLength') || node.has('maxLength');
  if (node.has('pattern') || node.has('format')) {
    if (hasLength) throw node.unsupported(node.has('pattern') ? 'pattern' : 'format', 'beside minLength or maxLength');
    if (node.has('pattern') && node.has('format')) throw node.unsupported('pattern', 'beside format');
  }
  if (node.has('format')) {
    const name = node.string('format');
    const format = stringFormat(name);
    if (format === undefined)
      throw node.unsupported('format', `${JSON.stringify(name)} (there are ${stringFormats.join(', ')})`);
    return shared(quoted(inString(format)));
  }
  if (node.has('pattern')) {
    const where = `${node.place}/pattern `;
    return shared(
      quoted(inString(regexGrammar(node.string('pattern'), { field: node.field, where, matches: 'part' }))),
    );
  }
  return hasLength ? shared(quoted(repeat(anyStringCharacter, least, most))) : anyString;
}

function numberGrammar(node: SchemaNode, type: 'number' | 'integer'): Grammar {
  const bounds = keywordsOf.number.filter((keyword) => node.has(keyword));
  if (bounds.length === 0) return type === 'integer' ? shared(anyInteger) : shared(anyNumber);
  const least = node.number('minimum', -largest);
  const above = node.number('exclusiveMinimum', Number.NEGATIVE_INFINITY);
  const most = node.number('maximum', largest);
  const below = node.number('exclusiveMaximum', Number.POSITIVE_INFINITY);
  let range: Grammar | undefined;
  if (type === 'integer') {
    const from = Math.max(Math.ceil(least), Number.isFinite(above) ? Math.floor(above) + 1 : least);
    const to = Math.min(Math.floor(most), Number.isFinite(below) ? Math.ceil(below) - 1 : most);
    range = integersBetween(from, to);
  } else {
    for (const keyword of bounds) {
      if (!Number.isInteger(node.number(keyword, 0))) throw node.unsupported(keyword, 'of a number that is not whole');
    }
    range = numbersBetween({
      least: Math.max(least, above),
      leastExcluded: above >= least,
      most: Math.min(most, below),
      mostExcluded: below <= most,
    });
  }
  if (range === undefined) throw node.invalid('allows no number');
  return shared(range);
}

function braced(open: string, inside: Grammar, close: string): Grammar {
  return sequence(text(open), whitespace, inside, whitespace, text(close));
}

function isOfType(value: unknown, type: JsonType): boolean {
  switch (type) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    default:
      return typeof value === type;
  }
}
