import { Environment, Interpreter, type parse } from '@huggingface/jinja';

type Program = ReturnType<typeof parse>;

/** A value of the template language, as the library has it. */
interface Value {
  readonly type: string;
  readonly value: unknown;
  readonly builtins: Map<string, Value>;
}
type Call = (args: readonly Value[], scope: Environment) => Value;
/** A node of a parsed template. */
interface Node {
  readonly type: string;
  readonly [part: string]: unknown;
}

/** The library's steps that make values; its types hide all but two of them. */
interface Steps {
  run(program: Program): Value;
  evaluate(node: Node | undefined, scope: Environment): Value;
  evaluateBlock(nodes: readonly Node[], scope: Environment): Value;
  evaluateArguments(args: readonly Node[], scope: Environment): [Value[], Map<string, Value>];
  evaluateBinaryExpression(node: Node, scope: Environment): Value;
  evaluateMemberExpression(node: Node, scope: Environment): Value;
  evaluateFor(node: Node, scope: Environment): Value;
  applyFilter(operand: Value, filter: Node, scope: Environment): Value;
}
const Unbounded = Interpreter as unknown as new (environment: Environment) => Steps;
const Text = new Environment().set('text', '').constructor as new (text: string) => Value;

/** Characters that one rendering makes, those that it lets go of included; a list's entries count `perEntry` each. */
const mostCharacters = 128 * 1024 * 1024;
const perEntry = 32;
/** Characters of JSON that one character becomes at most. */
const escaped = 6;

/** Nodes whose values are new, and no variable's. */
const makes: ReadonlySet<string> = new Set([
  'BinaryExpression',
  'FilterExpression',
  'FilterStatement',
  'CallExpression',
  'CallStatement',
  'ArrayLiteral',
  'TupleLiteral',
  'ObjectLiteral',
]);
const writing: ReadonlySet<string> = new Set(['+', '~', '==', '!=']);
const measured: ReadonlySet<string> = new Set([
  'tojson',
  'string',
  'join',
  'indent',
  'replace',
  'title',
  'map',
  'sort',
]);

/** A value in a node's place, so that it is not evaluated again. */
class Held {
  readonly type = 'Held';
  readonly [part: string]: unknown;

  constructor(readonly held: Value) {}
}

/**
 * Runs a template that can make no more than memory holds. What a step would make is measured before it is made: strings that
 * are far too long end the process and not the call, and nothing catches that.
 */
export class BoundedInterpreter extends Unbounded {
  #made = 0;
  readonly #guarded = new WeakSet<Value>();

  override evaluate(node: Node | undefined, scope: Environment): Value {
    if (node instanceof Held) return node.held;
    const value = super.evaluate(node, scope);
    if (node !== undefined && makes.has(node.type)) this.#count(sizeOf(value));
    return value;
  }

  override evaluateBlock(nodes: readonly Node[], scope: Environment): Value {
    let text = '';
    for (const node of nodes) {
      const value = this.evaluate(node, scope);
      if (value.type === 'NullValue' || value.type === 'UndefinedValue') continue;
      if (isContainer(value)) this.#countJson(value);
      text += String(value);
    }
    this.#count(text.length);
    return new Text(text);
  }

  override evaluateArguments(args: readonly Node[], scope: Environment): [Value[], Map<string, Value>] {
    const found = super.evaluateArguments(args, scope);
    this.#count(perEntry * (found[0].length + found[1].size));
    return found;
  }

  override evaluateBinaryExpression(node: Node, scope: Environment): Value {
    if (!writing.has((node.operator as { value: string }).value)) return super.evaluateBinaryExpression(node, scope);
    const left = this.evaluate(node.left as Node, scope);
    const right = this.evaluate(node.right as Node, scope);
    // A list beside what is none is written as text, also to be compared with it.
    if (isContainer(left) !== isContainer(right) || (node.operator as { value: string }).value === '~') {
      for (const side of [left, right]) if (isContainer(side)) this.#countJson(side);
    }
    return super.evaluateBinaryExpression({ ...node, left: new Held(left), right: new Held(right) }, scope);
  }

  override evaluateMemberExpression(node: Node, scope: Environment): Value {
    const object = this.evaluate(node.object as Node, scope);
    const isSlice = (node.property as Node).type === 'SliceExpression';
    if (typeof object.value === 'string') {
      if (isSlice) requireMemory(object.value.length * perEntry);
      else this.#guard(object);
    }
    const value = super.evaluateMemberExpression({ ...node, object: new Held(object) }, scope);
    if (isSlice) this.#count(sizeOf(value));
    return value;
  }

  override evaluateFor(node: Node, scope: Environment): Value {
    const iterable = node.iterable as Node;
    const isSelect = iterable.type === 'SelectExpression';
    const over = this.evaluate(isSelect ? (iterable.lhs as Node) : iterable, scope);
    // What a loop keeps of each entry it keeps until it ends.
    const kept = typeof over.value === 'string' ? 0 : sizeOf(over);
    this.#count(kept);
    const held = new Held(over);
    const value = super.evaluateFor({ ...node, iterable: isSelect ? { ...iterable, lhs: held } : held }, scope);
    this.#made -= kept;
    return value;
  }

  override applyFilter(operand: Value, filter: Node, scope: Environment): Value {
    const isCall = filter.type === 'CallExpression';
    const name = (isCall ? (filter.callee as Node) : filter).value as string;
    if (!measured.has(name)) return super.applyFilter(operand, filter, scope);
    const [args, named] = isCall
      ? this.evaluateArguments(filter.args as Node[], scope)
      : [[], new Map<string, Value>()];
    this.#measure(name, operand, args, named);
    if (!isCall) return super.applyFilter(operand, filter, scope);
    const byName = [...named].map(([key, value]) => ({
      type: 'KeywordArgumentExpression',
      key: { value: key },
      value: new Held(value),
    }));
    return super.applyFilter(operand, { ...filter, args: [...args.map((arg) => new Held(arg)), ...byName] }, scope);
  }

  #count(characters: number): void {
    this.#made += characters;
    requireMemory(this.#made);
  }

  /** What a filter makes, before it is made. */
  #measure(name: string, operand: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): void {
    const { value } = operand;
    if (name === 'tojson') {
      const ascii = named.get('ensure_ascii')?.value === true;
      const separators = named.get('separators')?.value;
      const between = Array.isArray(separators) ? separators.reduce((sum: number, one) => sum + sizeOf(one), 0) : 4;
      this.#countJson(operand, ascii ? perEntry : escaped, between, numberOf(named.get('indent'), 0));
    } else if (name === 'string') {
      if (isContainer(operand)) this.#countJson(operand);
    } else if (name === 'join') {
      const between = sizeOf(args[0] ?? named.get('separator'));
      if (typeof value === 'string') this.#count(value.length * (perEntry + between));
      else if (Array.isArray(value)) {
        this.#count(value.length * between);
        for (const one of value as Value[]) {
          if (isContainer(one)) this.#countJson(one);
          else this.#count(sizeOf(one));
        }
      }
    } else if (name === 'map' || name === 'sort') {
      const path = named.get('attribute') ?? args[2];
      if (typeof path?.value === 'string') this.#count(path.value.length * perEntry);
    } else if (typeof value === 'string') {
      if (name !== 'indent') this.#guard(operand);
      else this.#count(occurrences(value, '\n') * (2 * perEntry + numberOf(args[0] ?? named.get('width'), 4)));
    }
  }

  /** What a value is as JSON. One that holds a list in two places counts it twice: it is written twice. */
  #countJson(value: Value, perCharacter = escaped, between = 4, indent = 0, depth = 1): void {
    if (typeof value?.value === 'string') this.#count(value.value.length * perCharacter);
    if (!isContainer(value)) return;
    const inner = value.value instanceof Map ? value.value : (value.value as Value[]).entries();
    for (const [key, one] of inner as Iterable<[string | number, Value]>) {
      this.#count(perEntry + between + indent * depth + (typeof key === 'string' ? key.length * perCharacter : 0));
      this.#countJson(one, perCharacter, between, indent, depth + 1);
    }
  }

  /** Has a text's own functions measure what they make. */
  #guard(text: Value): void {
    if (this.#guarded.has(text)) return;
    this.#guarded.add(text);
    const { builtins } = text;
    const own = text.value as string;
    const before = (name: string, measure: (args: readonly Value[]) => number): void => {
      const made = builtins.get(name);
      if (typeof made?.value !== 'function') return;
      const call = made.value as Call;
      const measuredCall: Call = (args, scope) => {
        this.#count(measure(args));
        return call(args, scope);
      };
      builtins.set(name, new (made.constructor as new (call: Call) => Value)(measuredCall));
    };
    before('title', () => own.length * perEntry);
    before('split', ([by]) => 2 * perEntry * (typeof by?.value === 'string' ? occurrences(own, by.value) : words(own)));
    before('replace', ([old, by, most]) => {
      const count = most?.value instanceof Map ? (most.value.get('count') as Value | undefined) : most;
      const found = occurrences(own, typeof old?.value === 'string' ? old.value : '');
      const times = numberOf(count, -1);
      return own.length + found * perEntry + (times < 0 ? found : Math.min(found, times)) * sizeOf(by);
    });
  }
}

/** @throws Error where it is more than a rendering may make */
function requireMemory(characters: number): void {
  if (!(characters <= mostCharacters)) throw new Error(`it makes more than ${mostCharacters} characters`);
}

function isContainer(value: Value | undefined): boolean {
  return Array.isArray(value?.value) || value?.value instanceof Map;
}

function sizeOf(value: Value | undefined): number {
  const held = value?.value;
  if (typeof held === 'string') return held.length;
  if (Array.isArray(held)) return held.length * perEntry;
  return held instanceof Map ? held.size * perEntry : 0;
}

function numberOf(value: Value | undefined, otherwise: number): number {
  return typeof value?.value === 'number' ? value.value : otherwise;
}

/** How often a text holds another, and once more for its end. */
function occurrences(text: string, part: string): number {
  if (part === '') return text.length + 1;
  let found = 1;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) found++;
  return found;
}

function words(text: string): number {
  let found = 1;
  for (const _ of text.matchAll(/\S+/g)) found++;
  return found;
}
