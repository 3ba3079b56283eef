// Makes mutants of a source file: single small mistakes of the kind that people make. Each is a stretch of the text and
// what stands there instead; `within` is the stretch that both versions of can stand side by side, and `form` what it is.
import { parseSync } from 'oxc-parser';

/** What an operator is mistaken for: the nearest neighbour, and the opposite. */
const operators = {
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
  '===': ['!=='],
  '!==': ['==='],
  '==': ['!='],
  '!=': ['=='],
  '+': ['-'],
  '-': ['+'],
  '*': ['/'],
  '/': ['*'],
  '%': ['*'],
  '**': ['*'],
  '<<': ['>>'],
  '>>': ['<<'],
  '>>>': ['<<'],
  '&': ['|'],
  '|': ['&'],
  '&&': ['||'],
  '||': ['&&'],
  '+=': ['-='],
  '-=': ['+='],
  '*=': ['/='],
  '++': ['--'],
  '--': ['++'],
};
const methods = new Map(
  Object.entries({ min: 'max', max: 'min', floor: 'ceil', ceil: 'floor', some: 'every', every: 'some' }),
);
/** What only tells people something: a mistake there is no matter for tests. */
const telling = /^(await )?(this\.)?(connection\.)?(log|logger|console)\.|\.unref\(\)$/;

/**
 * @typedef {{
 *   start: number, end: number, line: number, column: number, from: string, to: string,
 *   within: [number, number], form: 'expression' | 'statement' | 'property',
 * }} Mutant
 */

/**
 * Every mutant of a TypeScript source, in order of place.
 * @returns {Mutant[]}
 */
export function mutantsOf(name, source) {
  const { program, errors } = parseSync(name, source);
  if (errors.length > 0) throw new Error(`${name} cannot be parsed: ${errors[0].message}`);
  const mutants = [];
  const put = ([start, end, to, within = [start, end], form = 'expression']) => {
    const before = source.slice(0, start);
    const line = before.split('\n').length;
    const column = start - before.lastIndexOf('\n');
    mutants.push({ start, end, line, column, from: source.slice(start, end), to, within, form });
  };
  visit(program, (node) => {
    for (const change of changes(node, source)) put(change);
  });
  return mutants.toSorted((one, other) => one.start - other.start || one.end - other.end);
}

/** The text with the mistake in it. What is dropped leaves a block: TypeScript lets an `if` have no empty statement. */
export function mutated(source, { start, end, to, form }) {
  return source.slice(0, start) + (form === 'statement' ? '{}' : to) + source.slice(end);
}

/** The same order for the same seed. */
export function shuffled(list, seed) {
  const result = [...list];
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let at = result.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [result[at], result[other]] = [result[other], result[at]];
  }
  return result;
}

/** Calls back for every node that computes something; types compute nothing. */
function visit(node, call) {
  if (Array.isArray(node)) {
    for (const child of node) visit(child, call);
    return;
  }
  if (node === null || typeof node !== 'object' || typeof node.type !== 'string') return;
  if (/^(TSAs|TSSatisfies|TSNonNull|TSParameterProperty|TSInstantiation)/.test(node.type) === false) {
    if (node.type.startsWith('TS') || node.type === 'ImportDeclaration') return;
  }
  call(node);
  for (const [key, child] of Object.entries(node)) {
    // A name in an object is none that is computed, though it be a number.
    if (key === 'key' && !node.computed) continue;
    if (!/^(type|typeAnnotation|typeArguments|typeParameters|returnType|implements|superTypeArguments)$/.test(key)) {
      visit(child, call);
    }
  }
}

/** The mistakes that can be made at one node: where they begin and end, what stands there then, within what, its form. */
function changes(node, source) {
  const text = ({ start, end }) => source.slice(start, end);
  switch (node.type) {
    case 'BinaryExpression':
    case 'LogicalExpression':
      return isText(node.left) || isText(node.right) ? [] : swaps(node, node.left.end, node.right.start, source);
    case 'AssignmentExpression':
      return isText(node.right) ? [] : swaps(node, node.left.end, node.right.start, source);
    case 'UpdateExpression':
      return node.prefix
        ? swaps(node, node.start, node.argument.start, source)
        : swaps(node, node.argument.end, node.end, source);
    case 'UnaryExpression':
      return node.operator === '!' ? [[node.start, node.end, text(node.argument)]] : [];
    case 'IfStatement':
    case 'ConditionalExpression':
      return ['true', 'false'].map((to) => [node.test.start, node.test.end, to]);
    case 'WhileStatement':
      return text(node.test) === 'true' ? [] : [[node.test.start, node.test.end, 'false']];
    case 'ReturnStatement':
      // What is as false as nothing is no mistake that could be seen.
      if (node.argument === null || /^(undefined|null|false|0)$/.test(text(node.argument))) return [];
      return [[node.argument.start, node.argument.end, 'undefined as never']];
    case 'ExpressionStatement':
      if (!isEffect(node.expression) || telling.test(text(node.expression))) return [];
      return [[node.start, node.end, ';', [node.start, node.end], 'statement']];
    case 'Literal':
      if (typeof node.value === 'boolean') return [[node.start, node.end, String(!node.value)]];
      if (typeof node.value === 'bigint') return [[node.start, node.end, `${node.value + 1n}n`]];
      return typeof node.value === 'number' ? [[node.start, node.end, String(node.value + 1)]] : [];
    case 'MemberExpression': {
      const to = node.computed ? undefined : methods.get(node.property.name);
      const { start, end } = node.property;
      return to === undefined ? [] : [[start, end, to, [node.object.end, end], 'property']];
    }
    default:
      return [];
  }
}

function swaps(node, from, until, source) {
  const start = source.indexOf(node.operator, from);
  if (start < 0 || start >= until) return [];
  const within = [node.start, node.end];
  return (operators[node.operator] ?? []).map((to) => [start, start + node.operator.length, to, within]);
}

/** Whether an operand makes a sum of numbers one of texts. */
function isText({ type, value }) {
  return type === 'TemplateLiteral' || typeof value === 'string';
}

function isEffect({ type, argument, callee }) {
  if (type === 'AwaitExpression') return isEffect(argument);
  if (callee?.type === 'Super') return false;
  return type === 'CallExpression' || type === 'AssignmentExpression' || type === 'ChainExpression';
}
