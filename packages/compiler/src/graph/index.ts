export * from './arithmetic.js';
export type { Dimension, Value } from './graph-builder.js';
export { GraphBuilder, microsoft } from './graph-builder.js';
export type { WeightPrecision } from './precision.js';
export * from './shape.js';
