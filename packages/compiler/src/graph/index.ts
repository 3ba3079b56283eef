export * from './arithmetic.js';
export type { Dimension, Value } from './graph-builder.js';
export { GraphBuilder, microsoft } from './graph-builder.js';
export { eightBitsAtLeast, type WeightPrecision } from './precision.js';
export * from './shape.js';
