import type { DType } from '@tessera/protocol';
import type { GraphBuilder, Operand, Value } from './graph-builder.js';

const elementType: Readonly<Partial<Record<DType, number>>> = { float32: 1, int32: 6, int64: 7, float16: 10 };

function graphOf(a: Operand, b: Operand): GraphBuilder {
  const value = typeof a === 'number' ? b : a;
  if (typeof value === 'number') throw new Error('two numbers need no graph');
  return value.graph;
}

function binary(op: string, a: Operand, b: Operand): Value {
  const g = graphOf(a, b);
  const operands = [a, b].map((side) => (typeof side === 'number' ? g.float32(side) : side));
  return g.node(op, operands)[0] as Value;
}

const unary = (op: string, x: Value): Value => x.graph.node(op, [x])[0] as Value;

/** Element-wise with broadcasting, as NumPy does it. */
export const add = (a: Operand, b: Operand): Value => binary('Add', a, b);
export const mul = (a: Operand, b: Operand): Value => binary('Mul', a, b);
export const div = (a: Operand, b: Operand): Value => binary('Div', a, b);
export const equal = (a: Operand, b: Operand): Value => binary('Equal', a, b);
export const sin = (x: Value): Value => unary('Sin', x);
export const cos = (x: Value): Value => unary('Cos', x);
/** Matrix product of the last two axes. */
export const matmul = (a: Value, b: Value): Value => binary('MatMul', a, b);

/** The same values in another type. */
export function cast(x: Value, to: 'float32' | 'float16' | 'int32' | 'int64'): Value {
  return x.graph.node('Cast', [x], { to: elementType[to] as number })[0] as Value;
}

/** Sum along one axis, which stays as a size of 1 or goes. */
export function reduceSum(x: Value, axis: number, options: { keepDims: boolean }): Value {
  const keepdims = options.keepDims ? 1 : 0;
  return x.graph.node('ReduceSum', [x, x.graph.int64(axis)], { keepdims })[0] as Value;
}
